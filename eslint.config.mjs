import tseslint from 'typescript-eslint';

export default tseslint.config(
	{
		ignores: [
			'dist/',
			'.build/',
			'.cache/',
			'node_modules/',
			'test/vscode/node_modules/',
			'test/fixtures/',
			'test-results/',
			'**/*.mjs',
		],
	},
	...tseslint.configs.recommendedTypeChecked,
	{
		languageOptions: { parserOptions: { project: './tsconfig.json', tsconfigRootDir: import.meta.dirname } },
		linterOptions: { reportUnusedDisableDirectives: 'error' },
		rules: {
			'@typescript-eslint/no-floating-promises': 'error',
			'@typescript-eslint/only-throw-error': 'error',
			'@typescript-eslint/use-unknown-in-catch-callback-variable': 'error',
			'@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
			'@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
			'@typescript-eslint/no-non-null-assertion': 'off',
			'@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
			'no-restricted-syntax': [
				'error',
				{ selector: 'ExportDefaultDeclaration', message: 'Named exports only.' },
				{
					// What esbuild makes of it for Node 20 keeps the error of an earlier round, and throws it again in the next.
					selector: ['', '> TryStatement > BlockStatement ', '> IfStatement > BlockStatement ', '> BlockStatement ']
						.map(
							inner =>
								`:matches(ForStatement, ForOfStatement, ForInStatement, WhileStatement, DoWhileStatement) > BlockStatement ${inner}> VariableDeclaration[kind=/using/]`,
						)
						.join(', '),
					message: 'No `using` inside a loop: put the body into a function.',
				},
			],
			// An async method turns a throw into a rejection: what an interface of promises promises.
			'@typescript-eslint/require-await': 'off',
			// What a function disposes of at its end must not be still in use by the promise that it returns.
			'@typescript-eslint/return-await': ['error', 'error-handling-correctness-only'],
			eqeqeq: 'error',
		},
	},
	{
		// A declaration of another's module says what that module is.
		files: ['**/*.d.ts'],
		rules: { 'no-restricted-syntax': 'off' },
	},
	{
		files: ['test/**'],
		rules: {
			// node:test's suite() and test() return promises that the runner awaits.
			'@typescript-eslint/no-floating-promises': 'off',
			'@typescript-eslint/require-await': 'off',
			// An error ends a test, so no later round of a loop sees it.
			'no-restricted-syntax': ['error', { selector: 'ExportDefaultDeclaration', message: 'Named exports only.' }],
		},
	},
	{
		files: ['src/engine/**', 'src/shared/**'],
		rules: {
			'no-console': 'error',
			'no-restricted-globals': ['error', { name: 'process', message: 'Import what is needed from node:process.' }],
		},
	},
);

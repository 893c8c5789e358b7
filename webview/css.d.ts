/** Style sheets: esbuild writes them beside the bundle that imports them. */
declare module '*.css';

import { killSuite } from './kill-suite.js';

// Two files, so that they run beside each other.
killSuite({ default: [], v2: ['compat=0.10'], lazy_refcounts: ['lazy_refcounts=on'] });

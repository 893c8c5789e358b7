import { killSuite } from './kill-suite.js';

// Two files, so that they run beside each other.
killSuite({ extended_l2: ['extended_l2=on'], '512-byte clusters': ['cluster_size=512'] });

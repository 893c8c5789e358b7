/*
 * sync(2) writes back every filesystem of the host, and waits: for other mounts that are slow or stuck, which are none
 * of a test's business. sfdisk and sgdisk call it after each change of a file. Loaded into what the tests start, this
 * makes it do nothing; fsync and syncfs stay what they are.
 */
void sync(void) {}

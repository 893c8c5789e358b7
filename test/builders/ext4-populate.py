"""Fills a mounted ext2, ext3 or ext4 with every kind of file that a reader can get wrong.

usage: ext4-populate.py DIRECTORY OPTION...
options: sparse-far (a block 70 MB into a file), big-xattr (a value of 20,000 bytes), times-34bit, names=N (of the large directory)
"""
import os, random, stat, struct, sys

root, options = os.fsencode(sys.argv[1]), sys.argv[2:]
names = next((int(o[6:]) for o in options if o.startswith('names=')), 2000)
rng = random.Random(7)
block = os.statvfs(root).f_bsize


def path(*parts):
    return b'/'.join([root, *parts])


def put(name, data, offset=0):
    with open(path(name), 'r+b' if os.path.exists(path(name)) else 'wb') as file:
        file.seek(offset)
        file.write(data)


for size in (0, 1, 59, 60, 61, 100, 150, 160, block - 1, block, block + 1, 3 * block + 7, 70000, 300000):
    put(b'size-%d' % size, rng.randbytes(size))
os.mkdir(path(b'sparse'))
put(b'sparse/hole-first', b'end', 5 * block + 11)
put(b'sparse/hole-between', b'begin')
put(b'sparse/hole-between', b'end', 400 * block)
put(b'sparse/hole-last', b'begin')
os.truncate(path(b'sparse/hole-last'), 100 * block + 1)
os.truncate(path(b'size-60'), 59)
os.truncate(path(b'size-100'), 140)
if 'sparse-far' in options:
    put(b'sparse/far', rng.randbytes(block), 70 * 2**20)
for i in range(1500):
    put(b'sparse/many-runs', b'%08d' % i * 16, i * 2 * block)
os.mkdir(path(b'unwritten'))
for name, size in ((b'short', 5000), (b'long', 200000)):
    fd = os.open(path(b'unwritten', name), os.O_CREAT | os.O_RDWR)
    try:
        os.posix_fallocate(fd, 0, size)
    finally:
        os.write(fd, b'written')
        os.close(fd)

os.mkdir(path(b'links'))
put(b'links/one', b'two names')
os.link(path(b'links/one'), path(b'links/two'))
for length in (1, 58, 59, 60, 61, 200, block - 1 if block < 4096 else 4000):
    os.symlink(b't' * length, path(b'links/to-%d' % length))
os.symlink(b'../\xff\xfe not text', path(b'links/bytes'))

os.mkdir(path(b'nodes'))
os.mkfifo(path(b'nodes/fifo'))
os.mknod(path(b'nodes/socket'), stat.S_IFSOCK | 0o755)
for kind, letter in ((stat.S_IFCHR, b'c'), (stat.S_IFBLK, b'b')):
    for major, minor in ((0, 1), (8, 1), (255, 255), (300, 70000), (4095, 1048575)):
        os.mknod(path(b'nodes/%s-%d-%d' % (letter, major, minor)), kind | 0o600, os.makedev(major, minor))

os.mkdir(path(b'names'))
for name in (b'\xff\xfe', b'new\nline', b'back\\slash', 'grüße'.encode(), b'x' * 255, b' ', b'.hidden', b'...', b'a' * 4, b'\x01'):
    put(b'names/' + name, name)
deep = b'deep'
for i in range(40):
    os.mkdir(path(deep))
    deep += b'/d%d' % i
os.mkdir(path(b'empty'))

os.mkdir(path(b'large'))
for i in range(names):
    put(b'large/name-%06d-%s' % (i, b'y' * rng.randrange(60)), b'%d' % i if i % 50 == 0 else b'')
for entry in os.listdir(path(b'large'))[: names // 3]:
    os.unlink(path(b'large', entry))
# Directories of a few and of many blocks that became nearly empty.
os.mkdir(path(b'emptied'))
for i in range(600):
    put(b'emptied/%d' % i, b'')
for i in range(598):
    os.unlink(path(b'emptied/%d' % i))

os.mkdir(path(b'owners'))
for uid, gid in ((1, 2), (65535, 65536), (70000, 80000), (4294967294, 4294967294)):
    put(b'owners/%d' % uid, b'')
    os.chown(path(b'owners/%d' % uid), uid, gid)
for mode in (0o4755, 0o2755, 0o1777, 0o0000, 0o7777):
    put(b'owners/mode-%04o' % mode, b'')
    os.chmod(path(b'owners/mode-%04o' % mode), mode)

os.mkdir(path(b'times'))
seconds = [0, 1, 2**31 - 1, -1, -(2**31)] + ([2**31, 2**32 - 1, 2**32, 2**33 + 5, 4102444800, 2**34 - 2**31 - 1] if 'times-34bit' in options else [])
for sec in seconds:
    put(b'times/%d' % sec, b'')
    os.utime(path(b'times/%d' % sec), ns=(sec * 10**9 + 5, sec * 10**9 + 999999999))

os.mkdir(path(b'xattrs'))
for name in (b'none', b'one', b'many', b'acl', b'shared-a', b'shared-b'):
    put(b'xattrs/' + name, b'')
os.mkdir(path(b'xattrs/directory'))
os.symlink(b'none', path(b'xattrs/link'))
os.setxattr(path(b'xattrs/one'), 'user.one', b'1')
for i in range(9):
    os.setxattr(path(b'xattrs/many'), 'user.number-%d' % i, rng.randbytes(i * 9))
os.setxattr(path(b'xattrs/many'), 'trusted.\u00fc', b'\0\xff')
os.setxattr(path(b'xattrs/many'), 'security.strata', b'label\0')
os.setxattr(path(b'xattrs/link'), 'trusted.link', b'of a link', follow_symlinks=False)
for name in (b'shared-a', b'shared-b'):
    os.setxattr(path(b'xattrs/', name), 'user.shared', b's' * 500)
acl = struct.pack('<I', 2) + b''.join(
    struct.pack('<HHI', tag, perm, who)
    for tag, perm, who in ((1, 6, 0xFFFFFFFF), (2, 4, 1000), (2, 6, 70000), (4, 4, 0xFFFFFFFF), (8, 5, 50), (16, 7, 0xFFFFFFFF), (32, 0, 0xFFFFFFFF))
)
os.setxattr(path(b'xattrs/acl'), 'system.posix_acl_access', acl)
os.setxattr(path(b'xattrs/directory'), 'system.posix_acl_default', acl)
put(b'xattrs/directory/inherits', b'')
if 'big-xattr' in options:
    os.setxattr(path(b'xattrs/one'), 'user.big', rng.randbytes(20000))

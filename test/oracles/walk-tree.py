"""Prints what the operating system says of every path below a directory, one JSON record a line.

Paths, link targets and attributes are hexadecimal: they are bytes.
usage: walk-tree.py DIRECTORY
"""
import errno, hashlib, json, os, stat, sys

root = os.fsencode(sys.argv[1])


def record(path):
    info = os.lstat(root + path)
    entry = {
        'path': path.hex(),
        'type': stat.S_IFMT(info.st_mode) >> 12,
        'mode': stat.S_IMODE(info.st_mode),
        'uid': info.st_uid,
        'gid': info.st_gid,
        'links': info.st_nlink,
        'inode': info.st_ino,
        'size': info.st_size,
        'mtime': str(info.st_mtime_ns),
        'atime': str(info.st_atime_ns),
        'ctime': str(info.st_ctime_ns),
        'device': '%d:%d' % (os.major(info.st_rdev), os.minor(info.st_rdev)),
        'xattrs': {},
    }
    if stat.S_ISLNK(info.st_mode):
        entry['target'] = os.readlink(root + path).hex()
    if stat.S_ISREG(info.st_mode):
        try:
            with open(root + path, 'rb') as file:
                entry['sha256'] = hashlib.sha256(file.read()).hexdigest()
        except OSError as error:
            entry['error'] = errno.errorcode[error.errno]
    for name in os.listxattr(root + path, follow_symlinks=False):
        value = os.getxattr(root + path, name, follow_symlinks=False)
        entry['xattrs'][os.fsencode(name).hex()] = value.hex()
    print(json.dumps(entry))
    if stat.S_ISDIR(info.st_mode):
        for name in sorted(os.listdir(root + path)):
            record((b'' if path == b'/' else path) + b'/' + name)


record(b'/')

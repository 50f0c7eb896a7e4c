"""Reads and builds case files and traces from the byte tables of docs/trace.md and of
harness/case/case_file.c, without the program's own code.

XXH3 comes from libxxhash, which the program is linked with and Python has not.
"""
import ctypes
import json
import struct

CASE_MAGIC, TRACE_MAGIC = b'pp-case\n', b'pptrace\n'
CASE_HEADER, TRACE_HEADER, RECORD_HEADER = 32, 28, 8
NAME, BASE, BASE_DATA, BASE_END, OPERATION, END = range(1, 7)
KINDS = ('', 'create', 'write', 'truncate', 'sync-begin', 'sync-end', 'dirsync-begin',
         'dirsync-end', 'rename', 'unlink', 'link', 'lock', 'unlock', 'ack', 'mark', 'output',
         'hole')


class _Hash128(ctypes.Structure):
    _fields_ = [('low', ctypes.c_uint64), ('high', ctypes.c_uint64)]


def _library():
    lib = ctypes.CDLL('libxxhash.so.0')
    lib.XXH3_64bits.restype = ctypes.c_uint64
    lib.XXH3_128bits.restype = _Hash128
    for function in (lib.XXH3_64bits, lib.XXH3_128bits):
        function.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    return lib


def xxh32(data):
    return _library().XXH3_64bits(data, len(data)) & 0xFFFFFFFF


def xxh128(data):
    h = _library().XXH3_128bits(data, len(data))
    return struct.pack('<QQ', h.low, h.high)


def split_case(data):
    """A case file's JSON, and its trace as bytes."""
    json_size, trace_size = struct.unpack_from('<QQ', data, 16)
    end = CASE_HEADER + json_size + trace_size
    if data[:8] != CASE_MAGIC or len(data) != end + 16 or xxh128(data[:end]) != data[end:]:
        raise ValueError('no case file as its byte table says')
    return json.loads(data[CASE_HEADER:CASE_HEADER + json_size]), data[CASE_HEADER + json_size:end]


def join_case(content, trace):
    text = json.dumps(content, sort_keys=True, separators=(',', ':')).encode()
    data = CASE_MAGIC + struct.pack('<IIQQ', 1, 0, len(text), len(trace)) + text + trace
    return data + xxh128(data)


class Trace:
    """A decoded trace: names (from 1), base {name: content}, operations, where records start."""

    def __init__(self, data):
        magic, version, checksum, self.sector, self.characteristics, n = \
            struct.unpack_from('<8sIIIII', data)
        at = TRACE_HEADER + n
        if (magic, version) != (TRACE_MAGIC, 1) or xxh32(data[16:at]) != checksum:
            raise ValueError('no trace as docs/trace.md says')
        self.producer = data[TRACE_HEADER:at].decode()
        self.names, self.base, self.operations, self.records = [''], {}, [], []
        self.torn = None
        latest = None
        while at < len(data):
            size, checksum = struct.unpack_from('<II', data, at)
            payload = data[at + RECORD_HEADER:at + RECORD_HEADER + size]
            if size == 0 or len(payload) != size or xxh32(payload) != checksum:
                raise ValueError(f'byte {at}: no record as docs/trace.md says')
            self.records.append((at, payload[0]))
            if payload[0] == NAME:
                self.names.append(payload[1:].decode())
            elif payload[0] == BASE:
                latest = self.names[struct.unpack_from('<I', payload, 8)[0]]
                self.base[latest] = b''
            elif payload[0] == BASE_DATA:
                self.base[latest] += payload[1:]
            elif payload[0] == OPERATION:
                process, _, connection = struct.unpack_from('<HHH', payload, 4)
                self.operations.append((KINDS[payload[1]], process, connection))
            elif payload[0] == END:
                self.torn = payload[1] == 1
            at += RECORD_HEADER + size
        self.end = at

    def count(self, kind):
        return sum(1 for operation in self.operations if operation[0] == kind)

    def processes(self):
        return {operation[1] for operation in self.operations}


def operation(word, process=0, connection=0, inode=0, data=b'', flags=0, name=0, offset=0):
    """The payload of an operation that has no second name, and a size only for its data."""
    return struct.pack('<BBBxHHHxxIIIQQ', OPERATION, KINDS.index(word), flags, process, 0,
                       connection, inode, name, 0, offset, len(data)) + data


def edit_trace(data, change, names=()):
    """The same trace with other operations: change(position, payload) gives those that stand in its
    place, and change(0, None) those before the first. Positions of begins move along. `names` get
    the next numbers."""
    trace = Trace(data)
    payloads = [data[at + RECORD_HEADER:at + RECORD_HEADER + struct.unpack_from('<I', data, at)[0]]
                for at, _ in trace.records]
    out, moved, count, position = [], {}, 0, 0

    def add(changed):
        nonlocal count
        out.extend(changed)
        count += len(changed)

    for payload in payloads:
        if payload[0] == OPERATION:
            position += 1
            if KINDS[payload[1]] in ('sync-end', 'dirsync-end'):
                begin = moved[struct.unpack_from('<Q', payload, 24)[0]]
                payload = payload[:24] + struct.pack('<Q', begin) + payload[32:]
            changed = change(position, payload)
            moved[position] = count + 1 + (changed.index(payload) if payload in changed else 0)
            add(changed)
        elif payload[0] == END:
            out.append(payload[:4] + struct.pack('<Q', count) + payload[12:])
        else:
            if payload[0] == BASE_END:
                out.extend(bytes([NAME]) + name.encode() for name in names)
            out.append(payload)
            if payload[0] == BASE_END:
                add(change(0, None))
    return data[:trace.records[0][0]] + b''.join(
        struct.pack('<II', len(p), xxh32(p)) + p for p in out)

// Reads every frame on an interface and counts the frames that contain a text: packet-search.ts <interface> <text>
// <seconds>
// It first prints `listening as <process id>`. It ends after the time, or on SIGTERM. At the end it prints one JSON
// object: frames, bytes, HBONE frames (port 15008), and frames that contained the text.
import koffi from "koffi";

const [device = "eth0", text = "", seconds = "5"] = process.argv.slice(2);
const needle = Buffer.from(text);
const libc = koffi.load("libc.so.6");
const socket = libc.func("int socket(int domain, int type, int protocol)");
const bind = libc.func("int bind(int fd, void *address, int length)");
const recv = libc.func("long recv(int fd, void *buffer, size_t length, int flags)");
const indexOf = libc.func("uint if_nametoindex(const char *name)");

const AF_PACKET = 17;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0o4000;
const ETH_P_ALL_BE = 0x0300;
const hbonePort = 15_008;
const ethernetHeader = 14;
const pollMs = 2;
const framesPerPoll = 4000;

const fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, ETH_P_ALL_BE) as number;
if (fd < 0) throw new Error("cannot open a packet socket: CAP_NET_RAW is needed");
const address = Buffer.alloc(20);
address.writeUInt16LE(AF_PACKET, 0);
address.writeUInt16LE(ETH_P_ALL_BE, 2);
address.writeUInt32LE(indexOf(device) as number, 4);
if ((bind(fd, address, address.length) as number) < 0) throw new Error(`cannot listen on ${device}`);

const buffer = Buffer.alloc(65_536);
const found = { frames: 0, bytes: 0, hboneFrames: 0, matches: 0 };

function isHbone(frame: Buffer): boolean {
  if (frame.length < ethernetHeader + 24 || frame.readUInt16BE(12) !== 0x0800 || frame[ethernetHeader + 9] !== 6)
    return false;
  const tcp = ethernetHeader + ((frame[ethernetHeader] ?? 0x45) & 0x0f) * 4;
  return frame.readUInt16BE(tcp) === hbonePort || frame.readUInt16BE(tcp + 2) === hbonePort;
}

function poll(): void {
  for (let count = 0; count < framesPerPoll; count += 1) {
    const length = Number(recv(fd, buffer, buffer.length, 0));
    if (length <= 0) return;
    const frame = buffer.subarray(0, length);
    found.frames += 1;
    found.bytes += length;
    if (isHbone(frame)) found.hboneFrames += 1;
    if (frame.includes(needle)) found.matches += 1;
  }
}

process.stdout.write(`listening as ${process.pid}\n`);
const polling = setInterval(poll, pollMs);
const limit = setTimeout(end, Number(seconds) * 1000);
process.once("SIGTERM", end);

function end(): void {
  clearInterval(polling);
  clearTimeout(limit);
  poll();
  process.stdout.write(`${JSON.stringify(found)}\n`);
}

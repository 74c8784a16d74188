import { libc, linux } from "./libc.ts";

/** When the kernel asks a quiet peer whether it still lives; what is absent is as the system has it. */
export interface TcpKeepalive {
  /** Quiet for so long before the first probe, 1 to 32,767. */
  readonly timeSeconds?: number;
  /** Between probes, 1 to 32,767. */
  readonly intervalSeconds?: number;
  /** Unanswered ones after which the connection is broken, 1 to 127. */
  readonly probes?: number;
}

const maxSeconds = 32_767;
const maxProbes = 127;

/**
 * Has the kernel send keepalive probes on a connection. A stream without a descriptor of its own (a tunnel, one that is closed) is left as it
 * is; numbers beyond what the kernel takes become the nearest that it does.
 */
export function keepAlive(
  socket: { readonly fd: number },
  { timeSeconds, intervalSeconds, probes }: TcpKeepalive,
): void {
  const { fd } = socket;
  if (fd < 0) return;
  setOption(fd, linux.levelSocket, linux.keepAlive, 1);
  if (timeSeconds !== undefined) setOption(fd, linux.levelTcp, linux.keepAliveTime, within(timeSeconds, maxSeconds));
  if (intervalSeconds !== undefined)
    setOption(fd, linux.levelTcp, linux.keepAliveInterval, within(intervalSeconds, maxSeconds));
  if (probes !== undefined) setOption(fd, linux.levelTcp, linux.keepAliveProbes, within(probes, maxProbes));
}

function within(value: number, most: number): number {
  return Math.min(most, Math.max(1, Math.round(value)));
}

/** A socket that its peer has closed meanwhile takes no options, and needs none. */
function setOption(fd: number, level: number, name: number, value: number): void {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  libc().setsockopt(fd, level, name, bytes, bytes.length);
}

import { libc, linux } from "./libc.ts";

/** When the kernel probes a quiet peer. Absent fields keep the system's defaults. */
export interface TcpKeepalive {
  /** The quiet time before the first probe, from 1 to 32,767 seconds. */
  readonly timeSeconds?: number;
  /** The time between two probes, from 1 to 32,767 seconds. */
  readonly intervalSeconds?: number;
  /** After this many unanswered probes, from 1 to 127, the connection breaks. */
  readonly probes?: number;
  /** How long sent data may stay unacknowledged before the connection breaks (TCP_USER_TIMEOUT). */
  readonly userTimeoutSeconds?: number;
}

const maxSeconds = 32_767;
const maxProbes = 127;

/**
 * Makes the kernel send keepalive probes. A listener passes the options on to the connections that it accepts. Does
 * nothing if the stream has no descriptor, like a tunnel or a closed stream. The nearest allowed number replaces a time
 * or count of probes beyond the kernel's limits.
 */
export function keepAlive(
  socket: { readonly fd: number },
  { timeSeconds, intervalSeconds, probes, userTimeoutSeconds }: TcpKeepalive,
): void {
  const { fd } = socket;
  if (fd < 0) return;
  setOption(fd, linux.levelSocket, linux.keepAlive, 1);
  if (timeSeconds !== undefined) setOption(fd, linux.levelTcp, linux.keepAliveTime, within(timeSeconds, maxSeconds));
  if (intervalSeconds !== undefined)
    setOption(fd, linux.levelTcp, linux.keepAliveInterval, within(intervalSeconds, maxSeconds));
  if (probes !== undefined) setOption(fd, linux.levelTcp, linux.keepAliveProbes, within(probes, maxProbes));
  if (userTimeoutSeconds !== undefined) setOption(fd, linux.levelTcp, linux.userTimeout, userTimeoutSeconds * 1000);
}

function within(value: number, most: number): number {
  return Math.min(most, Math.max(1, Math.round(value)));
}

/**
 * Sets an option. Ignores a failure: a socket that its peer has closed in the meantime accepts no options, and needs
 * none.
 */
function setOption(fd: number, level: number, name: number, value: number): void {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  libc().setsockopt(fd, level, name, bytes, bytes.length);
}

import type { ByteListener, ByteStream } from "../net/index.ts";

/** Opens a listening socket. With `held`, the socket refuses clients until it begins. `accept` gets paused streams. */
export type Listen = (
  options: {
    readonly address: string;
    readonly port: number;
    readonly held?: boolean;
    /** Whether the socket accepts connections to addresses of other hosts. */
    readonly transparent?: boolean;
  },
  accept: (stream: ByteStream) => void,
) => Promise<ByteListener>;

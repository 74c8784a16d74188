import type { ByteListener, ByteStream } from "../net/index.ts";

/** Opens a listening socket. With `held`, it refuses clients until it begins. `accept` receives paused streams. */
export type Listen = (
  options: {
    readonly address: string;
    readonly port: number;
    readonly held?: boolean;
    /** Whether it accepts connections to addresses of other hosts. */
    readonly transparent?: boolean;
  },
  accept: (stream: ByteStream) => void,
) => Promise<ByteListener>;

import type { ByteListener, ByteStream } from "../net/index.ts";

/** Opens a listening socket. `accept` receives paused streams. */
export type Listen = (
  options: { readonly address: string; readonly port: number },
  accept: (stream: ByteStream) => void,
) => Promise<ByteListener>;

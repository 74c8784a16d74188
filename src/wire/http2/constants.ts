// Constants of RFC 9113.
export const frameType = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const frameFlag = { endStream: 0x1, ack: 0x1, endHeaders: 0x4, padded: 0x8, priority: 0x20 } as const;

export const setting = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
  maxHeaderListSize: 6,
  enableConnectProtocol: 8,
} as const;

export const errorCode = {
  noError: 0,
  protocolError: 1,
  internalError: 2,
  flowControlError: 3,
  settingsTimeout: 4,
  streamClosed: 5,
  frameSizeError: 6,
  refusedStream: 7,
  cancel: 8,
  compressionError: 9,
  connectError: 10,
  enhanceYourCalm: 11,
  inadequateSecurity: 12,
  http11Required: 13,
} as const;

const errorNames = new Map<number, string>(
  Object.entries(errorCode).map(([name, code]) => [
    code,
    name
      .replace(/([A-Z])/g, "_$1")
      .toUpperCase()
      .replace("HTTP11", "HTTP_1_1"),
  ]),
);

/** The name of an error code, such as `REFUSED_STREAM`, or `error` and the number if the code is unknown. */
export function errorCodeName(code: number): string {
  return errorNames.get(code) ?? `error ${code}`;
}

export const frameHeaderLength = 9;
export const defaultWindow = 65_535;
export const maxWindow = 2 ** 31 - 1;
export const defaultMaxFrameSize = 16_384;
export const maxStreamId = 2 ** 31 - 1;
export const clientPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/** A protocol error of the peer. It ends the connection, and `code` is the code for GOAWAY. */
export class Http2ConnectionError extends Error {
  override readonly name = "Http2ConnectionError";
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

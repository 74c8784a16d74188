export type { SpdyHeaders } from "./frames.ts";
export { SpdySession, type SpdySessionOptions, type SpdyStream, type SpdyStreamHandler } from "./session.ts";

// SPDY without I/O, as older clients of exec and port-forward speak it.
export type { SpdyHeaders } from "./frames.ts";
export { SpdySession, type SpdySessionOptions, type SpdyStream, type SpdyStreamHandler } from "./session.ts";

// SPDY without I/O, as older clients of exec and port-forward speak it.
export { SpdySession, type SpdyStream } from "./session.ts";

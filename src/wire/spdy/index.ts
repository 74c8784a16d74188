export { spdyDictionary } from "./dictionary.ts";
export { decodeHeaders, encodeFrame, encodeHeaders, SpdyFrameReader, type SpdyFrame, type SpdyHeaders } from "./frames.ts";
export { SpdySession, type SpdySessionOptions, type SpdyStream, type SpdyStreamHandler } from "./session.ts";

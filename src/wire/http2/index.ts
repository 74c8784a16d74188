// HTTP/2 as bytes: frames both ways, HPACK. No connection state: that is the data planes'.
export {
  defaultMaxFrameSize,
  defaultWindow,
  errorCode,
  errorCodeName,
  Http2ConnectionError,
  maxStreamId,
  maxWindow,
  setting,
} from "./constants.ts";
export { FrameReader, type FrameHandler, type FrameReaderOptions } from "./frame-reader.ts";
export { FrameWriter } from "./frame-writer.ts";
export { hpackEncode, type HpackEncodeOptions } from "./hpack-encoder.ts";

// HTTP/2 as bytes: frames both ways, HPACK. No connection state: that is the data planes'.
export {
  clientPreface,
  defaultMaxFrameSize,
  defaultWindow,
  errorCode,
  errorCodeName,
  frameFlag,
  frameHeaderLength,
  frameType,
  Http2ConnectionError,
  maxStreamId,
  maxWindow,
  setting,
} from "./constants.ts";
export { FrameReader, type FrameHandler, type FrameReaderOptions } from "./frame-reader.ts";
export { FrameWriter, putFrameHeader } from "./frame-writer.ts";
export { HpackDecoder, type HpackDecoderOptions } from "./hpack-decoder.ts";
export { hpackEncode, type HpackEncodeOptions } from "./hpack-encoder.ts";
export { huffmanDecode, huffmanEncode, huffmanLength } from "./huffman.ts";

// HTTP/2 without I/O: frames in both directions, HPACK, and the state of a connection.
export { errorCode, errorCodeName, Http2ConnectionError, setting } from "./constants.ts";
export { FrameReader, type FrameHandler } from "./frame-reader.ts";
export { dataHeadBytes, FrameWriter, putDataHead } from "./frame-writer.ts";
export {
  fieldFault,
  fieldName,
  isFieldName,
  readPseudoFields,
  requestFieldsFault,
  trailersFault,
  usualNames,
  type PseudoFields,
} from "./header-fields.ts";
export { HeaderBlock, hpackEncode } from "./hpack-encoder.ts";
export { type FloodReason } from "./flood-budget.ts";
export { Http2Session } from "./session.ts";
export { SessionStream } from "./session-stream.ts";
export type { SessionLimits, SessionOptions, SessionPort } from "./session-types.ts";

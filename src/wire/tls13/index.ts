// The record layer of TLS 1.3 after the handshake (RFC 8446): framing, contents, keys and limits, without I/O.
export {
  alertCode,
  contentType,
  maxContentBytes,
  maxProtectedBytes,
  nonceBytes,
  PeerAlertError,
  RecordError,
  recordHeaderBytes,
  recordOverheadBytes,
  tagBytes,
} from "./constants.ts";
export { ContentReader, keyUpdateContent, type ContentReaderPort } from "./content-reader.ts";
export { labelBlock, putNonce, putRecordHeader, secretOf } from "./key-schedule.ts";
export { maxRecordBytes, RecordSplitter, type RecordVisitor } from "./record-splitter.ts";
export { maxRecordsOfKey, suiteOf, type Suite } from "./suites.ts";

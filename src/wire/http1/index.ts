// HTTP/1.1 without I/O: heads, framing of bodies, chunks.
export { bodyFramings, keepsAlive, requestFraming, responseFraming, type BodyFraming } from "./body-framing.ts";
export { ChunkedScanner } from "./chunked-scanner.ts";
export { fieldKinds, type FieldKind } from "./field-kind.ts";
export { HeadWriter } from "./head-writer.ts";
export { defaultHeadLimits, MessageHead, type HeadLimits } from "./message-head.ts";
export { headIncomplete, headRefused, scanRequestHead, scanResponseHead } from "./scan-head.ts";
export { statusText } from "./status-text.ts";

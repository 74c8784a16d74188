import { gunzipSync, inflateSync } from "node:zlib";
import { messageOf, SerinError, userError } from "../../../base/index.ts";
import type { Decompress } from "./message-decoder.ts";

export const acceptedEncodings = "identity,deflate,gzip";

/**
 * How messages with this encoding are read. `none` leaves them unchanged. Undefined if the encoding is not accepted.
 */
export function decompressionOf(encoding: string, maxBytes: number): Decompress | "none" | undefined {
  if (encoding === "identity") return "none";
  if (encoding !== "gzip" && encoding !== "deflate") return undefined;
  const expand = encoding === "gzip" ? gunzipSync : inflateSync;
  return (bytes) => {
    try {
      return expand(bytes, { maxOutputLength: maxBytes });
    } catch (error) {
      if ((error as { readonly code?: unknown }).code === "ERR_BUFFER_TOO_LARGE")
        throw new SerinError(
          "user",
          "request-too-long",
          `a request may have at most ${maxBytes} bytes, and this one has more after decompression`,
        );
      throw userError("bad-request", `a request is not valid ${encoding}: ${messageOf(error)}`, { cause: error });
    }
  };
}

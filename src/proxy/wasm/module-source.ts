import { createHash } from "node:crypto";
import { userError } from "../../base/index.ts";
import { readBytes } from "../../base/joined-bytes/index.ts";
import { maxModuleBytes } from "./limits.ts";

/** A module's bytes with their SHA-256 checksum in hexadecimal. */
export interface ModuleCode {
  readonly bytes: Uint8Array;
  readonly checksum: string;
}

/** How fetching a module ended, in the words of upstream's agent. */
export type FetchResult = "success" | "download_failure" | "manifest_failure" | "checksum_mismatched" | "fetch_failure";

/** Checks the fetched code. An empty `sha256` accepts any code. */
export function moduleCode(bytes: Uint8Array, sha256: string, from: string): ModuleCode {
  if (bytes.length > maxModuleBytes)
    throw userError(
      "module-unreachable",
      `the module of ${from} has ${bytes.length} bytes; at most ${maxModuleBytes} are allowed`,
    );
  const checksum = createHash("sha256").update(bytes).digest("hex");
  if (sha256 !== "" && sha256 !== checksum)
    throw userError(
      "module-unreachable",
      `the module of ${from} has the SHA-256 ${checksum}, not ${sha256}: correct sha256, or the file`,
    );
  return { bytes, checksum };
}

/** Reads a response's body. Throws if it exceeds a maximum size. */
export async function boundedBody(response: Pick<Response, "body" | "url">, maxBytes: number): Promise<Buffer> {
  // Join the pieces: the server chooses their size, and a list of single bytes would take hundreds of times their
  // memory.
  return await readBytes((response.body ?? []) as AsyncIterable<Uint8Array>, maxBytes, () =>
    userError("module-unreachable", `${response.url} has more than ${maxBytes} bytes`),
  );
}

import { readFile } from "node:fs/promises";
import { isSystemCode } from "../../net/index.ts";

/** Where the installation mounts `values.pilot.jwksResolverExtraRootCA`, as in upstream. */
const rootsFile = "/cacerts/extra.pem";

/**
 * Roots in PEM that are trusted for key sets, in addition to those of the operating system. Undefined if the
 * installation mounts none.
 */
export async function keySetRoots(path = rootsFile): Promise<string | undefined> {
  try {
    const text = await readFile(path, "utf8");
    return text.trim() === "" ? undefined : text;
  } catch (error) {
    if (isSystemCode(error, "ENOENT")) return undefined;
    throw error;
  }
}

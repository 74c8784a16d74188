import { mkdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { messageOf, type Logger } from "../../base/index.ts";
import { replaceFile } from "./replace-file.ts";

/** The file names that upstream's agent uses. */
export const certificateFiles = {
  chain: "cert-chain.pem",
  key: "key.pem",
  roots: "root-cert.pem",
} as const;

export interface CertificateOutput {
  readonly folder: string;
  /**
   * Whether this process runs in a pod. Then the pod's other containers read the files as other users, and need the
   * right to do so.
   */
  readonly inPod: boolean;
}

interface Certificate {
  readonly chainPem: string;
  readonly privateKeyPem: string;
  readonly rootsPem: string;
}

/** The setgid bit of a folder: files that are created in it get the folder's group. */
const setGroupId = 0o2000;

/** Keeps the workload's certificate in files, for programs in the pod that speak mutual TLS themselves. */
export class CertificateFiles {
  readonly #output: CertificateOutput;
  readonly #log: Logger;
  #written = Promise.resolve();

  constructor(output: CertificateOutput, log: Logger) {
    this.#output = output;
    this.#log = log;
  }

  /**
   * Writes the certificate when earlier writes have ended. Resolves to whether this certificate was written. An error
   * is logged, not thrown.
   */
  async write(certificate: Certificate): Promise<boolean> {
    const { folder } = this.#output;
    const written = this.#written
      .then(async () => await this.#replace(certificate))
      .then(
        () => true,
        (error: unknown) => {
          this.#log.error(`cannot write the certificate to ${folder}: ${messageOf(error)}`);
          return false;
        },
      );
    this.#written = written.then(() => undefined);
    return await written;
  }

  async #replace({ chainPem, privateKeyPem, rootsPem }: Certificate): Promise<void> {
    const { folder, inPod } = this.#output;
    await mkdir(folder, { recursive: true });
    const keyMode = inPod ? await sharedKeyMode(folder) : 0o600;
    await replaceFile(join(folder, certificateFiles.key), privateKeyPem, keyMode);
    await replaceFile(join(folder, certificateFiles.chain), chainPem);
    await replaceFile(join(folder, certificateFiles.roots), rootsPem);
  }
}

/**
 * The permissions of the key, which the application's containers must read. With an `fsGroup`, Kubernetes gives the
 * volume to that group (setgid) and puts every container into the group, so reading by the group is enough. Without an
 * `fsGroup`, the users of the containers have nothing in common, so everybody may read. No other pod mounts the folder.
 */
async function sharedKeyMode(folder: string): Promise<number> {
  const { mode } = await stat(folder);
  return (mode & setGroupId) === 0 ? 0o644 : 0o640;
}

import { spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { userError } from "../../base/index.ts";

export interface ImportOptions {
  readonly bytes: Readable;
  /** The command line of containerd's client without flags: `ctr`, or `k3s ctr`. */
  readonly command: string;
  readonly address: string | undefined;
  readonly signal: AbortSignal;
}

/** The namespace in which containerd keeps the images for the kubelet. */
const kubeletNamespace = "k8s.io";
const maxOutput = 4096;

export async function importImages({ bytes, command, address, signal }: ImportOptions): Promise<void> {
  const [program = "", ...rest] = command.split(/\s+/).filter((word) => word !== "");
  const flags = address === undefined ? [] : ["--address", address];
  const child = spawn(program, [...rest, ...flags, "-n", kubeletNamespace, "images", "import", "-"], {
    stdio: ["pipe", "ignore", "pipe"],
    signal,
  });
  let output = "";
  child.stderr.on("data", (piece: Buffer) => {
    output = (output + piece.toString()).slice(-maxOutput);
  });
  const closed = once(child, "close") as Promise<[number | null]>;
  // If the client stops reading early, its exit status and output say why.
  const sent = pipeline(bytes, child.stdin).then(
    () => undefined,
    (error: unknown) => error,
  );
  let code: number | null;
  try {
    [code] = await closed;
  } catch (cause) {
    bytes.destroy();
    signal.throwIfAborted();
    throw userError("image-import-failed", `cannot run ${command}: ${(cause as Error).message}`, {
      cause,
      hint: "run this on a node, name its client with --ctr (`k3s ctr`), or copy an archive there: serin image save -o serin.tar",
    });
  }
  const failure = await sent;
  if (code !== 0)
    throw userError(
      "image-import-failed",
      `${command} could not import the images: ${output.trim() || `it ended with ${code}`}`,
      {
        hint: "only root may use containerd's socket; --address names another one",
      },
    );
  if (failure !== undefined) throw failure;
}

import { join } from "node:path";
import { aborted, messageOf, type Logger } from "../../base/index.ts";

const { existsSync, watch } = process.getBuiltinModule("node:fs");
const { mkdir, rm } = process.getBuiltinModule("node:fs/promises");

/** The folder in which `bin/serin`, called by the preStop hook, leaves {@link podEndFile}. */
export const podEndFolder = "/etc/istio/proxy/orders";
const podEndFile = "drain";

export interface PodEndOptions {
  readonly folder: string;
  /** Called when the file appears, perhaps several times. */
  readonly onPodEnd: () => void;
  readonly log: Logger;
}

/**
 * Watches, until the signal aborts, for the file by which a pod's preStop hook tells the proxy that the pod ends.
 *
 * Without the file, the hook would have to start Node to send a request to the proxy. On a busy machine, the
 * application may end before that Node has started.
 *
 * The folder exists only while a proxy watches it. It is missing if the pod has no such volume, or if the kernel
 * allows no further watch. Then the hook sends the request.
 */
export async function followPodEnd({ folder, onPodEnd, log }: PodEndOptions, signal: AbortSignal): Promise<void> {
  const remove = async (): Promise<void> => await rm(folder, { recursive: true, force: true });
  try {
    // Remove the file that the hook may have left for an earlier container: the volume belongs to the pod, so it
    // survives a restart.
    await remove();
    await mkdir(folder);
    const watcher = watch(folder, { persistent: false }, (_event, name) => {
      if (name === podEndFile) onPodEnd();
    });
    // The hook may have written the file before the watch began.
    if (existsSync(join(folder, podEndFile))) onPodEnd();
    const failed = new Promise<never>((_resolve, reject) => watcher.once("error", reject));
    await Promise.race([aborted(signal), failed]).finally(() => watcher.close());
  } catch (error) {
    log.debug("the folder that announces the pod's end cannot be watched", { error: messageOf(error) });
  }
  await remove().catch(() => undefined);
}

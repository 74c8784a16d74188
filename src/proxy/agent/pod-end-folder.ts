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
 * Watches, until the signal aborts, for the file by which a pod's preStop hook tells the proxy that the pod ends. A
 * request to the proxy has the same effect, but the hook must start Node to send it. On a busy machine, Node starts
 * after the application has ended.
 *
 * The folder exists only while a proxy watches it. If the folder is missing, the hook sends the request. The folder is
 * missing if the pod has no such volume, or if the kernel allows no further watch.
 */
export async function followPodEnd({ folder, onPodEnd, log }: PodEndOptions, signal: AbortSignal): Promise<void> {
  const remove = async (): Promise<void> => await rm(folder, { recursive: true, force: true });
  try {
    // A restarted container may find the file for the container before it, because the volume belongs to the pod.
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

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
 * Follows the file by which a pod's preStop hook tells the proxy that the pod ends, until the signal. A request to the
 * proxy says the same, but needs a Node of its own: on a busy machine that starts after the application has ended.
 *
 * The folder exists only while somebody watches it. Without it, as where the pod's volume is missing or the kernel has no
 * watch left, the hook sends the request.
 */
export async function followPodEnd({ folder, onPodEnd, log }: PodEndOptions, signal: AbortSignal): Promise<void> {
  const remove = async (): Promise<void> => await rm(folder, { recursive: true, force: true });
  try {
    // A container that was restarted finds the order to the one before it, which its pod has survived.
    await remove();
    await mkdir(folder);
    const watcher = watch(folder, { persistent: false }, (_event, name) => {
      if (name === podEndFile) onPodEnd();
    });
    // The hook may have come between the two.
    if (existsSync(join(folder, podEndFile))) onPodEnd();
    const failed = new Promise<never>((_resolve, reject) => watcher.once("error", reject));
    await Promise.race([aborted(signal), failed]).finally(() => watcher.close());
  } catch (error) {
    log.debug("the folder that announces the pod's end cannot be watched", { error: messageOf(error) });
  }
  await remove().catch(() => undefined);
}

import { messageOf } from "../../base/index.ts";
import type { KubeClient } from "../client.ts";
import { podLogPath } from "../resource-path.ts";
import type { CrashedContainer } from "./pod-obstacle.ts";

const logLines = 5;
const maxLogCharacters = 2_000;
/** The beginning of a kubelet's answer, with status 200, if it has removed the requested log. */
const kubeletHasNoLog = "unable to retrieve container logs for ";

/**
 * The last log lines of a crashed container, to append to a message, or the reason why they cannot be read. They begin
 * on a new line.
 */
export async function lastWords(client: KubeClient, namespace: string, crashed: CrashedContainer): Promise<string> {
  const pod = { namespace, name: crashed.pod };
  const parameters = { container: crashed.container, tailLines: String(logLines) };
  const runs = [podLogPath(pod, parameters), podLogPath(pod, { ...parameters, previous: "true" })];
  if (crashed.run === "previous") runs.reverse();
  let refusal: string | undefined;
  // The kubelet may have removed one of these logs, or started another run since.
  for (const path of runs) {
    const log = await readLog(client, path);
    if (log.text !== "") return `\n  its last lines:\n${log.text.slice(-maxLogCharacters).replaceAll(/^/gm, "    ")}`;
    refusal ??= log.refusal;
  }
  return `\n  its log ${refusal === undefined ? "is empty" : `cannot be read: ${refusal}`}`;
}

async function readLog(
  client: KubeClient,
  path: string,
): Promise<{ readonly text: string; readonly refusal?: string }> {
  try {
    const answer = await client.raw("GET", path);
    const text = answer.text.trim();
    if (answer.status !== 200) return { text: "", refusal: `${answer.status} ${text}` };
    return text.startsWith(kubeletHasNoLog) ? { text: "", refusal: text } : { text };
  } catch (error) {
    return { text: "", refusal: messageOf(error) };
  }
}

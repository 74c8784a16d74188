import type { LogsAnswer } from "../../../api/dashboard/index.ts";
import { podLogPath } from "../../../kube/index.ts";
import type { RequestHandler } from "./request-handlers.ts";
import { ownOf, sendToKube } from "./kube-requests.ts";

const maxLines = 5_000;
const defaultLines = 500;
export const maxLogBytes = 2 << 20;

/**
 * The last lines of a container's log, read with the user's own credentials: as many of the requested lines as fit. The
 * API server truncates a long answer at its end, where the newest lines are, so fewer lines are requested until they
 * fit.
 */
export const readLogs: RequestHandler<"GET /api/logs"> = async (fields, identity, signal): Promise<LogsAnswer> => {
  const { client } = ownOf(identity);
  const [namespace, pod, container] = [
    fields.requiredText("namespace"),
    fields.requiredText("pod"),
    fields.text("container"),
  ];
  const wanted = fields.integer("tailLines", 1, maxLines, defaultLines);
  for (let tailLines = wanted; ;) {
    const path = podLogPath(
      { namespace, name: pod },
      {
        tailLines: String(tailLines),
        limitBytes: String(maxLogBytes),
        container,
        ...(fields.flag("previous") ? { previous: "true" } : {}),
      },
    );
    const { text } = await sendToKube(client, "GET", path, { accept: "*/*", signal });
    const isCut = Buffer.byteLength(text) >= maxLogBytes;
    const lines = text.split("\n").length - (text.endsWith("\n") ? 1 : 0);
    if (!isCut || tailLines === 1) return { text, truncated: isCut || tailLines < wanted || lines >= wanted };
    tailLines = Math.max(1, Math.min(tailLines >> 1, lines >> 1));
  }
};

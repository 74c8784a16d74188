import type { LogsAnswer } from "../../../api/dashboard/index.ts";
import type { RequestHandler } from "./request-handlers.ts";
import { ownOf, sendToKube } from "./kube-requests.ts";

const maxLines = 5_000;
const defaultLines = 500;
const maxTextLength = 2 << 20;

/** A container's log, by the user's own credentials. */
export const readLogs: RequestHandler<"GET /api/logs"> = async (fields, identity, signal): Promise<LogsAnswer> => {
  const { client } = ownOf(identity);
  const [namespace, pod, container] = [fields.requiredText("namespace"), fields.requiredText("pod"), fields.text("container")];
  const tailLines = fields.integer("tailLines", 1, maxLines, defaultLines);
  const query = new URLSearchParams({ tailLines: String(tailLines), ...(container === "" ? {} : { container }), ...(fields.flag("previous") ? { previous: "true" } : {}) });
  const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(pod)}/log?${query.toString()}`;
  const { text } = await sendToKube(client, "GET", path, { accept: "*/*", signal });
  const kept = text.length > maxTextLength ? text.slice(text.indexOf("\n", text.length - maxTextLength) + 1) : text;
  const lines = kept.split("\n").length - (kept.endsWith("\n") ? 1 : 0);
  return { text: kept, truncated: kept !== text || lines >= tailLines };
};

import { messageOf } from "../../../base/index.ts";
import type { TemplateValues, WebhookSpec } from "../../../api/serin/index.ts";
import type { CheckObservation } from "../../decide/index.ts";
import { shownUrl, type HttpExchange } from "./http-exchange.ts";

/**
 * Besides 5xx, the statuses of a server, or of a proxy in front of it, that cannot handle the request at the moment.
 */
const transient: ReadonlySet<number> = new Set([408, 425, 429]);
const redirecting = 300;
const refusing = 400;
const failing = 500;

/**
 * Calls a user's webhook. The result is the webhook's JSON answer, or else its status. A server error, "too many
 * requests" and a redirect make the check `unavailable`. The engine does not follow redirects.
 */
export async function observeWebhook(
  spec: WebhookSpec,
  origin: { readonly rollout: string; readonly step: string },
  values: TemplateValues,
  exchange: HttpExchange,
): Promise<CheckObservation> {
  const { url, method, headers, timeoutSeconds } = spec;
  const { canary, stable, window } = values;
  const body = method === "GET" ? undefined : JSON.stringify({ ...origin, canary, stable, window, ...spec.body });
  try {
    const { status, text } = await exchange({
      url,
      method,
      headers: { "content-type": "application/json", accept: "application/json", ...headers },
      timeoutMs: timeoutSeconds * 1000,
      ...(body === undefined ? {} : { body }),
    });
    const redirects = status >= redirecting && status < refusing;
    if (status >= failing || redirects || transient.has(status))
      return {
        type: "unavailable",
        detail: `${method} ${shownUrl(url)}: status ${status}${redirects ? ", and redirects are not followed: name the server that answers" : ""}`,
      };
    return {
      type: "values",
      result: jsonOf(text) ?? { status },
      canary,
      stable,
      status,
      source: `${method} ${shownUrl(url)}, status ${status}`,
    };
  } catch (error) {
    return { type: "unavailable", detail: messageOf(error) };
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

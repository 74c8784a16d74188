import { messageOf } from "../../../base/index.ts";
import type { TemplateValues, WebhookSpec } from "../../../api/serin/index.ts";
import type { CheckObservation } from "../../decide/index.ts";
import { shownUrl, type HttpExchange } from "./http-exchange.ts";

const failing = 500;

/** Calls a user's webhook. The verdict is its JSON answer, or its status code. A server error is no verdict. */
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
    if (status >= failing) return { type: "unavailable", detail: `${method} ${shownUrl(url)}: status ${status}` };
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

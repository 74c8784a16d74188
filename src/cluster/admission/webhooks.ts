import { messageOf, type Logger, jsonEqual } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import type { Authorizer } from "../auth/index.ts";
import type { SchemaRegistry } from "../schema/contract.ts";
import { cloneJson, wellFormedJson } from "../schema/json.ts";
import type { Store } from "../store/index.ts";
import { reviewOf } from "./admission-review.ts";
import type { AdmissionPlugin } from "./chain.ts";
import { MatchConditions } from "./match-conditions.ts";
import { AdmissionRefusal, type AdmissionRequest } from "./request.ts";
import { WebhookClient, type AdmissionResponse } from "./webhook-client.ts";
import { isConfiguration, WebhookConfigurations, type Match, type Webhook } from "./webhook-configurations.ts";

export interface WebhookParts {
  readonly store: Store;
  readonly registry: SchemaRegistry;
  readonly log: Logger;
  readonly authorizer: Authorizer;
}

/** Calls the mutating webhooks one after another, and the validating ones in parallel. */
export function webhookAdmission(parts: WebhookParts): AdmissionPlugin {
  const webhooks = new Webhooks(parts);
  return {
    name: "Webhooks",
    mutate: (request) => webhooks.mutate(request),
    validate: (request) => webhooks.validate(request),
  };
}

class Webhooks {
  readonly #registry: SchemaRegistry;
  readonly #log: Logger;
  readonly #configurations: WebhookConfigurations;
  readonly #client: WebhookClient;
  readonly #conditions: MatchConditions;

  constructor({ store, registry, log, authorizer }: WebhookParts) {
    this.#conditions = new MatchConditions(authorizer);
    this.#registry = registry;
    this.#log = log;
    this.#configurations = new WebhookConfigurations(store, registry);
    this.#client = new WebhookClient(store);
  }

  async mutate(request: AdmissionRequest): Promise<void> {
    const called: { match: Match; after: UntypedObject | undefined }[] = [];
    for (const match of this.#configurations.matching("mutating", request)) {
      await this.#mutateOnce(match, request);
      called.push({ match, after: cloneJson(request.object) });
    }
    // A webhook with `reinvocationPolicy: IfNeeded` is called again if a later webhook has changed the object.
    for (const { match, after } of called) {
      if (match.webhook.reinvocationPolicy === "IfNeeded" && !jsonEqual(after, request.object))
        await this.#mutateOnce(match, request);
    }
  }

  async validate(request: AdmissionRequest): Promise<void> {
    if (isConfiguration(request.type) && request.subresource === "") this.#conditions.check(request);
    const matches = this.#configurations.matching("validating", request);
    await Promise.all(matches.map(async (match) => void (await this.#call(match, request))));
  }

  async #mutateOnce(match: Match, request: AdmissionRequest): Promise<void> {
    const response = await this.#call(match, request);
    if (response?.patch === undefined || response.patch === "" || request.object === undefined) return;
    const { webhook, type } = match;
    try {
      // Require a text: for an object, `Buffer.from` would allocate as many bytes as the object's field `length` says.
      if (!isText(response.patch)) throw new TypeError("the patch is no text");
      const patch: unknown = JSON.parse(wellFormedJson(Buffer.from(response.patch, "base64").toString("utf8")));
      if (request.objectKind !== undefined) {
        request.object = this.#registry.jsonPatch(request.object, patch);
        return;
      }
      const patched = this.#registry.jsonPatch(this.#registry.convert(request.object, type), patch);
      const object = this.#registry.convert(patched, request.type);
      // A patch may contain values in another form ("2000m"). Objects are stored in the canonical form ("2"), because
      // otherwise the next write would seem to change them.
      this.#registry.dropUnknownFields(request.type, object);
      this.#registry.applyDefaults(request.type, object);
      request.object = object;
    } catch (error) {
      throw new AdmissionRefusal(
        500,
        "InternalError",
        `Internal error occurred: admission webhook "${webhook.name}" returned a patch that does not apply: ${messageOf(error)}`,
      );
    }
  }

  /**
   * Calls the webhook. Returns undefined if its conditions do not hold, or if it failed and its policy is Ignore.
   * Throws if it denies the request.
   */
  async #call(match: Match, request: AdmissionRequest): Promise<AdmissionResponse | undefined> {
    const { webhook } = match;
    const review = reviewOf(this.#registry, match.type, request);
    if (!this.#conditionsHold(webhook, request, review.request)) return undefined;
    if (request.dryRun && webhook.sideEffects !== "None" && webhook.sideEffects !== "NoneOnDryRun") {
      throw new AdmissionRefusal(400, "BadRequest", `admission webhook "${webhook.name}" does not support dry run`);
    }
    let response: AdmissionResponse;
    try {
      response = await this.#client.call(webhook, review);
    } catch (error) {
      const message = `failed calling webhook "${webhook.name}": ${messageOf(error)}`;
      if (webhook.failurePolicy === "Ignore") {
        this.#log.warn("a webhook failed and is ignored", { webhook: webhook.name, error: messageOf(error) });
        return undefined;
      }
      throw new AdmissionRefusal(500, "InternalError", `Internal error occurred: ${message}`, [{ message }]);
    }
    addWarnings(request, response);
    if (!response.allowed) throw denial(webhook, response);
    return response;
  }

  #conditionsHold(webhook: Webhook, request: AdmissionRequest, admission: unknown): boolean {
    try {
      return this.#conditions.hold(webhook, request, admission);
    } catch (error) {
      if (webhook.failurePolicy === "Ignore") return false;
      throw new AdmissionRefusal(403, "Forbidden", messageOf(error));
    }
  }
}

/** The maximum number of warnings of one webhook. The server drops further ones. */
const maximumWarnings = 100;

/** Adds a webhook's warnings. Its answer may contain values of any type, so check each one. */
function addWarnings({ warnings }: AdmissionRequest, response: AdmissionResponse): void {
  const given: unknown = response.warnings;
  if (!Array.isArray(given)) return;
  warnings.push(...(given.slice(0, maximumWarnings) as unknown[]).filter(isText));
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

function denial(webhook: Webhook, { status }: AdmissionResponse): AdmissionRefusal {
  const denied = `admission webhook "${webhook.name}" denied the request`;
  const message = isText(status?.message) ? status.message : "";
  const reason = isText(status?.reason) ? status.reason : "";
  const why = message || reason;
  const given = status?.code ?? 400;
  const code = Number.isInteger(given) && given >= 400 && given <= 599 ? given : 400;
  return new AdmissionRefusal(code, reason, why === "" ? `${denied} without explanation` : `${denied}: ${why}`);
}

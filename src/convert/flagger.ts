import { definedFields, ownField, valueAt, type Tree } from "../base/index.ts";
import { Reader, type UntypedObject } from "../api/index.ts";
import { checkName } from "./argo-analysis.ts";
import { at, durationSeconds, Notes, objectName, type Conversion } from "./conversion.ts";

/** Finds the MetricTemplate or the AlertProvider that a Canary names. */
export type FindObject = (kind: string, name: string, namespace: string | undefined) => UntypedObject | undefined;

const group = "rollout.serin.dev/v1alpha1";
const defaultIntervalSeconds = 60;
const maxWeight = 100;

/** Converts a Canary of Flagger (flagger.app/v1beta1) to a Canary and Checks. */
export function convertFlaggerCanary(source: UntypedObject, find: FindObject): Conversion {
  const { name = "", namespace } = source.metadata;
  const notes = new Notes(objectName(source));
  const spec = new Reader(source["spec"] ?? {}, "spec");
  const skipsAnalysis = spec.boolean("skipAnalysis") === true;
  const given = spec.object("analysis");
  if (skipsAnalysis)
    notes.note(
      "spec.skipAnalysis",
      "was true: as in Flagger, a new version gets all requests at once, and spec.analysis is not carried over; without skipAnalysis, it becomes the Canary's steps and checks",
    );
  const analysis = (skipsAnalysis ? undefined : given) ?? spec.empty("analysis");
  const checks = new Metrics(name, namespace, find, notes);
  const target = targetOf(spec, name, notes);
  const interval = durationSeconds(valueAt(analysis.raw, "interval")) ?? defaultIntervalSeconds;
  analysis.ignore("interval");
  const threshold = analysis.integer("threshold");
  const metrics = analysis.list("metrics").flatMap((metric) => checks.use(metric, interval, threshold));
  const hooks = hooksOf(analysis, interval, notes);
  const affinity = affinityOf(analysis, notes);
  const steps = stepsOf(analysis, interval, hooks, notes);
  if (spec.boolean("revertOnDeletion") !== true)
    notes.note(
      "spec.revertOnDeletion",
      "was false; in Serin, deleting a Canary in progress undoes everything (onDeletion: Leave keeps it)",
    );
  notes.dropped(spec, {
    provider: "the mesh splits the traffic",
    autoscalerRef: "the engine finds and respects a HorizontalPodAutoscaler of the Deployment",
    ingressRef: "add the host to a Gateway of the mesh",
    routeRef: "the engine creates the routes",
    upstreamRef: "the engine creates the routes",
    metricsServer: "set the address in the Checks",
    canaryReadyThreshold: "all pods must be ready",
    primaryReadyThreshold: "all pods must be ready",
  });
  notes.dropped(analysis, {
    primaryReadyThreshold: "all pods must be ready",
    canaryReadyThreshold: "all pods must be ready",
    stepWeightPromotion: "the stable version rolls out by its own strategy while the canary has all traffic",
    alerts: "set the URL of your receiver in spec.notifications",
  });
  notes.rest(analysis);
  const settle = spec.integer("progressDeadlineSeconds");
  const paused = spec.boolean("suspend");
  notes.rest(spec);
  const all = [...metrics.map((ref) => ({ ref })), ...hooks.always];
  const canary: UntypedObject = {
    apiVersion: group,
    kind: "Canary",
    metadata: { name, ...(namespace === undefined ? {} : { namespace }) },
    spec: {
      target,
      steps,
      ...(all.length === 0 ? {} : { checks: all }),
      ...affinity,
      ...(hooks.notifications.length === 0 ? {} : { notifications: hooks.notifications }),
      ...definedFields({ settleTimeoutSeconds: settle, paused }),
    },
  };
  notes.note(
    "metadata.name",
    `${name}-primary and the Services ${name}-primary and ${name}-canary belong to Flagger: delete Flagger's Canary first, wait until the Deployment ${name} has its pods again, then apply this Canary`,
  );
  return { objects: [...checks.objects, canary], notes: [...notes.all] };
}

function targetOf(spec: Reader, name: string, notes: Notes): Tree {
  const reference = spec.object("targetRef");
  reference?.ignore("apiVersion");
  const kind = reference?.string("kind") ?? "Deployment";
  if (kind !== "Deployment")
    notes.note("spec.targetRef.kind", `is not carried over: only a Deployment can be the target, got ${kind}`);
  const workload = reference?.string("name") ?? name;
  const service = spec.object("service");
  const gateways = service?.strings("gateways") ?? [];
  const gatewayApi = service?.list("gatewayRefs").map((parent) => parent.string("name") ?? "") ?? [];
  if (service !== undefined) {
    notes.dropped(service, {
      targetPort: "the Service sets it",
      portName: "the Service sets it",
      appProtocol: "the Service sets it",
      portDiscovery: "the Service's ports are used",
      hosts: "the route is for the Service's own name; use your own route for other hosts",
      delegation: "the engine creates the routes",
      trafficPolicy: "set it in a DestinationRule",
      match: "set it in your own route and use target.virtualService",
      rewrite: "set it in your own route and use target.virtualService",
      retries: "set it in your own route and use target.virtualService",
      headers: "set it in your own route and use target.virtualService",
      corsPolicy: "set it in your own route and use target.virtualService",
      timeout: "set it in your own route and use target.virtualService",
      mirror: "a step's mirror sets it",
      apex: "you manage the Service",
      primary: "there is no primary Service",
      canary: "the engine creates the preview Service",
      backends: "there is only one Service",
      unmanagedMetadata: "you manage the Service",
    });
  }
  const port = service?.integer("port", 1, 65_535);
  const called = service?.string("name") ?? workload;
  notes.rest(service);
  notes.rest(reference);
  const routes =
    gatewayApi.length > 0 ? { routes: "HTTPRoute", gateways: gatewayApi } : gateways.length > 0 ? { gateways } : {};
  return {
    deployment: definedFields({ name: workload, service: called, port, previewService: `${called}-canary`, ...routes }),
  };
}

interface Hooks {
  /** Webhooks that must agree before the canary gets its first request. */
  readonly before: readonly Tree[];
  readonly always: readonly Tree[];
  /** Webhooks that must agree before the last step. */
  readonly beforePromotion: readonly Tree[];
  readonly notifications: readonly Tree[];
}

function hooksOf(analysis: Reader, interval: number, notes: Notes): Hooks {
  const hooks: { before: Tree[]; always: Tree[]; beforePromotion: Tree[]; notifications: Tree[] } = {
    before: [],
    always: [],
    beforePromotion: [],
    notifications: [],
  };
  for (const hook of analysis.list("webhooks")) {
    const type = hook.string("type") ?? "rollout";
    const url = hook.string("url") ?? "";
    const timeoutSeconds = durationSeconds(valueAt(hook.raw, "timeout"));
    const metadata = hook.object("metadata")?.raw;
    hook.ignore("timeout");
    const check = {
      name: checkName(hook.string("name") ?? type),
      type: "webhook",
      intervalSeconds: interval,
      webhook: definedFields({ url, timeoutSeconds, body: metadata === undefined ? undefined : { metadata } }),
    };
    const gate = { ...check, failureLimit: gateFailureLimit };
    if (type === "confirm-rollout") hooks.before.push(gate);
    else if (type === "pre-rollout") hooks.before.push(check);
    else if (type === "rollout") hooks.always.push(check);
    else if (type === "confirm-traffic-increase") hooks.always.push(gate);
    else if (type === "confirm-promotion") hooks.beforePromotion.push(gate);
    else if (type === "event") hooks.notifications.push({ url });
    else if (type === "post-rollout") hooks.notifications.push({ url, events: ["Completed", "RolledBack"] });
    else
      notes.note(
        at(hook, "type"),
        `is not carried over: ${type === "rollback" ? "use serin canary abort, or a webhook check that fails" : "its type is unknown"}`,
      );
    notes.dropped(hook, {
      muteAlert: "notifications are selected by event",
      retries: "use errorLimit",
      disableTLS: "certificates are verified",
    });
    notes.rest(hook);
  }
  return hooks;
}

/**
 * How often the Check of a gate may fail. A gate is a webhook that confirms a step, and it may refuse any number of
 * times before it does.
 */
const gateFailureLimit = 10_000;

function affinityOf(analysis: Reader, notes: Notes): Tree {
  const affinity = analysis.object("sessionAffinity");
  if (affinity === undefined) return {};
  const made = definedFields({ cookieName: affinity.string("cookieName"), maxAgeSeconds: affinity.integer("maxAge") });
  notes.dropped(affinity, {
    primaryCookieName: "only clients of the canary get a cookie",
    domain: "the cookie applies to the host",
    path: "the cookie applies to the whole host",
    httpOnly: "the cookie applies to the host",
    secure: "the cookie applies to the host",
    sameSite: "the cookie applies to the host",
    partitioned: "the cookie applies to the host",
  });
  notes.rest(affinity);
  return { sessionAffinity: made };
}

function stepsOf(analysis: Reader, interval: number, hooks: Hooks, notes: Notes): Tree[] {
  const first = hooks.before.length === 0 ? [] : [{ weight: 0, checks: hooks.before }];
  const pause = { durationSeconds: interval };
  const iterations = analysis.integer("iterations");
  const matches = analysis.list("match").map((match) => matchOf(match, notes));
  const mirror =
    analysis.boolean("mirror") === true
      ? [{ mirror: { percent: analysis.integer("mirrorWeight") ?? 100 }, pause }]
      : [];
  analysis.ignore("mirrorWeight");
  const hasIterations = iterations !== undefined && iterations > 0;
  const given = weightsOf(analysis);
  if (hasIterations && given.length > 0)
    notes.note(
      at(analysis, "iterations"),
      "is set, so the weights are not carried over: as in Flagger, there are none",
    );
  const weights = hasIterations ? [] : given;
  const steps: Tree[] = [...first, ...mirror];
  if (matches.length > 0) {
    const [match, ...others] = matches;
    if (others.length > 0)
      notes.note(at(analysis, "match"), "has several alternative matches: each became a step of its own");
    for (const alternative of [match, ...others])
      steps.push({ match: alternative, iterations: { count: iterations ?? 1, intervalSeconds: interval } });
  } else if (hasIterations) steps.push({ preview: true, iterations: { count: iterations, intervalSeconds: interval } });
  for (const weight of weights) steps.push({ weight, pause });
  if (hooks.beforePromotion.length > 0) steps.push({ checks: hooks.beforePromotion });
  return [...steps, { weight: maxWeight }];
}

function weightsOf(analysis: Reader): number[] {
  const listed = analysis.list("stepWeights").flatMap(({ raw }) => (typeof raw === "number" ? [raw] : []));
  const step = analysis.integer("stepWeight");
  const highest = analysis.integer("maxWeight") ?? maxWeight;
  if (listed.length > 0) return listed.filter((weight) => weight < maxWeight);
  if (step === undefined || step <= 0) return [];
  // Flagger adds steps until one reaches or passes the highest weight.
  return Array.from({ length: Math.ceil(highest / step) }, (_, index) => (index + 1) * step).filter(
    (weight) => weight < maxWeight,
  );
}

function matchOf(match: Reader, notes: Notes): Tree {
  const headers: Tree[] = [];
  const cookies: Tree[] = [];
  const headerMatches = match.object("headers");
  for (const name of Object.keys(headerMatches?.raw ?? {})) {
    const value = headerMatches?.object(name);
    for (const [field, type] of [
      ["exact", "Exact"],
      ["prefix", "Prefix"],
      ["regex", "Regex"],
    ] as const) {
      const text = value?.string(field);
      if (text === undefined) continue;
      const cookie =
        name.toLowerCase() === "cookie" && type === "Regex"
          ? /^\^\(\.\*\?;\)\?\(([\w-]+)=([\w-]+)\)\(;\.\*\)\?\$$/.exec(text)
          : null;
      if (cookie === null) headers.push({ name, type, value: text });
      else cookies.push({ name: cookie[1], value: cookie[2] });
    }
    notes.rest(value);
  }
  const sourceLabels = match.object("sourceLabels")?.raw;
  notes.rest(match);
  return definedFields({
    headers: headers.length === 0 ? undefined : headers,
    cookies: cookies.length === 0 ? undefined : cookies,
    sourceLabels,
  });
}

const templateWords: Readonly<Record<string, string>> = {
  namespace: "{{ canary.namespace }}",
  target: "{{ canary.workload }}",
  service: "{{ canary.service }}",
  interval: "{{ window }}",
};

class Metrics {
  readonly objects: UntypedObject[] = [];
  readonly #canary: string;
  readonly #namespace: string | undefined;
  readonly #find: FindObject;
  readonly #notes: Notes;

  constructor(canary: string, namespace: string | undefined, find: FindObject, notes: Notes) {
    this.#canary = canary;
    this.#namespace = namespace;
    this.#find = find;
    this.#notes = notes;
  }

  /** Converts a metric, and returns the names of its Checks. */
  use(metric: Reader, interval: number, threshold: number | undefined): string[] {
    const name = metric.string("name") ?? "metric";
    const every = durationSeconds(valueAt(metric.raw, "interval")) ?? interval;
    metric.ignore("interval");
    const range = metric.object("thresholdRange");
    // As in Flagger, a range wins over a threshold. The threshold is a minimum for the success rate, and a maximum for
    // other metrics.
    const single = metric.number("threshold");
    const isLeast = name === "request-success-rate" && !metric.has("templateRef") && !metric.has("query");
    const [min, max] =
      range !== undefined
        ? [range.number("min"), range.number("max")]
        : [isLeast ? single : undefined, isLeast ? undefined : single];
    const limits = definedFields({
      intervalSeconds: every,
      failureLimit: threshold === undefined ? undefined : Math.max(0, threshold - 1),
    });
    const spec = this.#specOf(metric, name, min, max);
    this.#notes.rest(range);
    this.#notes.rest(metric);
    if (spec === undefined) return [];
    const check = checkName(`${this.#canary}-${name}`);
    this.objects.push({
      apiVersion: group,
      kind: "Check",
      metadata: { name: check, ...(this.#namespace === undefined ? {} : { namespace: this.#namespace }) },
      spec: { ...spec, ...limits },
    });
    return [check];
  }

  #specOf(metric: Reader, name: string, min: number | undefined, max: number | undefined): Tree | undefined {
    const reference = metric.object("templateRef");
    const inline = metric.string("query");
    if (reference === undefined && inline === undefined) {
      // Flagger limits the percentage of good responses, and a Check the share of bad ones.
      if (name === "request-success-rate")
        return {
          type: name,
          ...(min === undefined ? {} : { maxErrorRate: Math.max(0.0001, Math.round((100 - min) * 100) / 10_000) }),
        };
      if (name === "request-duration")
        return { type: name, quantiles: [0.99], ...(max === undefined ? {} : { maxMs: max }) };
      this.#notes.note(metric.path, `is not carried over: "${name}" has no templateRef and is not built in`);
      return undefined;
    }
    const template = reference === undefined ? undefined : this.#template(reference);
    if (reference !== undefined && template === undefined) return undefined;
    const fields = new Reader(template?.["spec"] ?? {}, "spec");
    const provider = fields.object("provider");
    const type = provider?.string("type") ?? "prometheus";
    const address = provider?.string("address");
    if (type !== "prometheus") {
      this.#notes.note(
        at(reference ?? metric, "name"),
        `is not carried over: its provider is ${type}; Serin has prometheus; use a webhook for other providers`,
      );
      return undefined;
    }
    const query = this.#query(inline ?? fields.string("query") ?? "", metric);
    for (const [field, reason] of [
      ["secretRef", "put an authenticating proxy between Serin and Prometheus"],
      ["region", "Prometheus does not need it"],
      ["insecureSkipVerify", "certificates are verified"],
      ["headers", "use a webhook for requests that need headers"],
    ] as const) {
      if (provider?.has(field) === true)
        this.#notes.note(
          `${objectName(template as UntypedObject)} spec.provider.${field}`,
          `is not carried over: ${reason}`,
        );
    }
    if (min === undefined && max === undefined)
      this.#notes.note(metric.path, "had no threshold and has max: 0 now: any result above 0 fails");
    return {
      type: "query",
      query: definedFields({ provider: address === undefined ? "mesh" : "prometheus", address, expression: query }),
      ...definedFields({ min, max: min === undefined && max === undefined ? 0 : max }),
    };
  }

  #template(reference: Reader): UntypedObject | undefined {
    const name = reference.string("name") ?? "";
    const namespace = reference.string("namespace") ?? this.#namespace;
    const found = this.#find("MetricTemplate", name, namespace);
    if (found === undefined)
      this.#notes.note(
        at(reference, "name"),
        `is not carried over: the files have no MetricTemplate "${name}"; pass its file too`,
      );
    this.#notes.rest(reference);
    return found;
  }

  #query(text: string, metric: Reader): string {
    const variables = metric.object("templateVariables")?.raw as Readonly<Record<string, unknown>> | undefined;
    return text.trim().replaceAll(/\{\{\s*([\w.]+)\s*\}\}/g, (whole, word: string) => {
      const found = word.startsWith("variables.")
        ? ownField(variables, word.slice("variables.".length))
        : ownField(templateWords, word);
      const known = typeof found === "string" ? found : undefined;
      if (known === undefined)
        this.#notes.note(
          metric.path,
          `names ${whole} in its query, which Serin does not know: use a fixed text instead`,
        );
      return known ?? whole;
    });
  }
}

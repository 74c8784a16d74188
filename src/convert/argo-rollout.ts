import { definedFields, jsonEqual, valueAt, type Tree } from "../base/index.ts";
import { Reader, type UntypedObject } from "../api/index.ts";
import { checkName, checksOfTemplate, type CheckFields } from "./argo-analysis.ts";
import { at, durationSeconds, Notes, objectName, type Conversion, type ConversionNote } from "./conversion.ts";

export interface RolloutFinder {
  readonly template: (name: string, clusterScope: boolean) => UntypedObject | undefined;
  /** The names of the Services that select pods with these labels. */
  readonly servicesOf: (labels: Readonly<Record<string, unknown>>) => readonly string[];
}

type FindTemplate = RolloutFinder["template"];

const group = "rollout.serin.dev/v1alpha1";

/** The Checks that are made from templates. Several uses with the same arguments share one Check. */
class CheckPool {
  readonly notes: ConversionNote[] = [];
  readonly #rollout: string;
  readonly #namespace: string | undefined;
  readonly #find: FindTemplate;
  readonly #made = new Map<string, UntypedObject>();

  constructor(rollout: string, namespace: string | undefined, find: FindTemplate) {
    this.#rollout = rollout;
    this.#namespace = namespace;
    this.#find = find;
  }

  get objects(): readonly UntypedObject[] {
    return [...this.#made.values()];
  }

  /** Makes the Checks for one `analysis` (templates and arguments), and returns references to them. */
  use(analysis: Reader | undefined, notes: Notes): { readonly ref: string }[] {
    if (analysis === undefined) return [];
    const values = argumentsOf(analysis, notes);
    const references = analysis.list("templates").flatMap((use) => this.#useOne(use, values, notes));
    notes.dropped(analysis, {
      startingStep: "checks apply to every step; write them in single steps instead",
      dryRun: "set dryRun at the check",
      measurementRetention: "the journal keeps every decision",
      analysisRunMetadata: "runs have no objects of their own",
    });
    notes.rest(analysis);
    return references;
  }

  #useOne(use: Reader, values: Readonly<Record<string, string>>, notes: Notes): { readonly ref: string }[] {
    const name = use.string("templateName") ?? "";
    const template = this.#find(name, use.boolean("clusterScope") ?? false);
    notes.rest(use);
    if (template === undefined) {
      notes.note(
        at(use, "templateName"),
        `is not carried over: the files have no AnalysisTemplate "${name}"; pass its file too`,
      );
      return [];
    }
    const converted = checksOfTemplate(template, objectName(template), values);
    const known = new Set(this.notes.map((note) => `${note.object} ${note.path}`));
    for (const note of converted.notes) if (!known.has(`${note.object} ${note.path}`)) this.notes.push(note);
    return converted.checks.map(({ name: check, spec }) => ({ ref: this.#store(check, spec) }));
  }

  /**
   * Stores a Check unless there is an equal one. A template with other arguments becomes another Check, with a number
   * in its name.
   */
  #store(name: string, spec: CheckFields): string {
    for (let copy = 1; ; copy += 1) {
      const candidate = checkName(`${this.#rollout}-${name}${copy === 1 ? "" : `-${copy}`}`);
      const there = this.#made.get(candidate);
      if (there !== undefined && !jsonEqual(there["spec"], spec)) continue;
      const metadata = { name: candidate, ...(this.#namespace === undefined ? {} : { namespace: this.#namespace }) };
      this.#made.set(candidate, { apiVersion: group, kind: "Check", metadata, spec });
      return candidate;
    }
  }
}

function argumentsOf(analysis: Reader, notes: Notes): Readonly<Record<string, string>> {
  const values: Record<string, string> = {};
  for (const argument of analysis.list("args")) {
    const name = argument.string("name") ?? "";
    const value = argument.string("value");
    const from = argument.object("valueFrom");
    if (value !== undefined) values[name] = value;
    else if (from?.has("podTemplateHashValue") === true)
      values[name] = `{{ ${from.string("podTemplateHashValue") === "Stable" ? "stable" : "canary"}.workload }}`;
    else if (from?.object("fieldRef")?.string("fieldPath") === "metadata.namespace")
      values[name] = "{{ canary.namespace }}";
    else notes.note(at(argument, "valueFrom"), `is not carried over: write the value of ${name} into the Check`);
    if (from?.has("podTemplateHashValue") === true)
      notes.note(
        at(argument, "valueFrom"),
        `became the name of the workload, {{ canary.workload }}: check that the query uses it correctly`,
      );
  }
  return values;
}

/** Converts a Rollout (argoproj.io/v1alpha1) to a Deployment, a Canary and Checks. */
export function convertRollout(rollout: UntypedObject, find: RolloutFinder): Conversion {
  const notes = new Notes(objectName(rollout));
  const { name = "", namespace } = rollout.metadata;
  const spec = new Reader(rollout["spec"] ?? {}, "spec");
  const pool = new CheckPool(name, namespace, find.template);
  const strategy = spec.object("strategy");
  const canary = strategy?.object("canary");
  const blueGreen = strategy?.object("blueGreen");
  const workload = deploymentOf(rollout, spec, notes);
  const service = serviceOf(rollout, spec, find, notes);
  notes.dropped(spec, {
    rollbackWindow: "an undo, or a change back to an older template, takes the same steps",
    restartAt: "use kubectl rollout restart",
    analysis: "the journal keeps every decision",
    progressDeadlineAbort: "a step that does not settle is rolled back",
  });
  const settle = spec.integer("progressDeadlineSeconds");
  const paused = spec.boolean("paused");
  const made = strategySpec({ canary, blueGreen }, service, pool, notes);
  notes.rest(canary);
  notes.rest(blueGreen);
  notes.rest(strategy);
  notes.rest(spec);
  const { target, ...rest } = made;
  const object: UntypedObject = {
    apiVersion: group,
    kind: "Canary",
    metadata: { name, ...(namespace === undefined ? {} : { namespace }) },
    spec: {
      target: { deployment: { name: workload.name, ...(target as Tree) } },
      ...rest,
      ...definedFields({ settleTimeoutSeconds: settle, paused }),
    },
  };
  return { objects: [...workload.objects, ...pool.objects, object], notes: [...notes.all, ...pool.notes] };
}

/**
 * The Service that gets the requests. If a Rollout names none, Argo Rollouts splits the requests by the numbers of old
 * and new pods, in all Services that select its pods.
 */
function serviceOf(
  { metadata: { name = "" } }: UntypedObject,
  spec: Reader,
  find: RolloutFinder,
  notes: Notes,
): string {
  const { strategy, template } = spec.raw as {
    readonly strategy?: { readonly canary?: Tree; readonly blueGreen?: Tree };
    readonly template?: { readonly metadata?: { readonly labels?: Readonly<Record<string, unknown>> } };
  };
  const named = strategy?.canary?.["stableService"] ?? strategy?.blueGreen?.["activeService"];
  if (typeof named === "string") return named;
  const labels = template?.metadata?.labels;
  const [found, ...others] = labels === undefined ? [] : find.servicesOf(labels);
  const service = found !== undefined && others.length === 0 ? found : name;
  notes.note(
    "spec.strategy",
    `names no Service, and the Canary got target.deployment.service: ${service}, ${found === service ? "which selects its pods" : "the Rollout's own name"}; write the Service there that gets the requests, because the mesh splits them, and not the numbers of pods`,
  );
  return service;
}

/** A Deployment with the Rollout's own pods, or the Deployment that the Rollout names. */
function deploymentOf(
  rollout: UntypedObject,
  spec: Reader,
  notes: Notes,
): { readonly name: string; readonly objects: readonly UntypedObject[] } {
  const { name = "", namespace, labels, annotations } = rollout.metadata;
  const reference = spec.object("workloadRef");
  if (reference !== undefined) {
    const referred = reference.string("name") ?? name;
    const kind = reference.string("kind");
    if (kind !== undefined && kind !== "Deployment")
      notes.note("spec.workloadRef.kind", `is not carried over: only a Deployment can be the target, got ${kind}`);
    reference.ignore("apiVersion");
    reference.ignore("scaleDown");
    notes.rest(reference);
    notes.note(
      "spec.workloadRef",
      `became the target: the Rollout ran the pods, so the Deployment ${referred} may have none. Scale it up, and wait until it is ready before you delete the Rollout, so that requests always find pods`,
    );
    notes.dropped(spec, {
      replicas: "set it in the Deployment",
      minReadySeconds: "set it in the Deployment",
      revisionHistoryLimit: "set it in the Deployment",
    });
    return { name: referred, objects: [] };
  }
  const copied = Object.fromEntries(
    ["replicas", "selector", "template", "minReadySeconds", "revisionHistoryLimit"].map((field) => [
      field,
      spec.has(field) ? (spec.raw as Tree)[field] : undefined,
    ]),
  );
  const metadata = {
    name,
    ...(namespace === undefined ? {} : { namespace }),
    ...(labels === undefined ? {} : { labels }),
    ...(annotations === undefined ? {} : { annotations }),
  };
  notes.note(
    "spec.template",
    "became a Deployment of the same name: apply it and wait until it is ready before you delete the Rollout, so that requests always find pods",
  );
  return { name, objects: [{ apiVersion: "apps/v1", kind: "Deployment", metadata, spec: definedFields(copied) }] };
}

/** The fields of the Canary's spec that follow from the Rollout's strategy. */
function strategySpec(
  { canary, blueGreen }: { readonly canary: Reader | undefined; readonly blueGreen: Reader | undefined },
  service: string,
  pool: CheckPool,
  notes: Notes,
): Tree {
  if (canary !== undefined) return canarySpec(canary, service, pool, notes);
  if (blueGreen !== undefined) return blueGreenSpec(blueGreen, service, pool, notes);
  notes.note("spec.strategy", "has neither canary nor blueGreen: the Canary has one step, all at once");
  return { target: { service }, steps: [{ weight: 100 }] };
}

function canarySpec(canary: Reader, service: string, pool: CheckPool, notes: Notes): Tree {
  canary.ignore("stableService");
  const canaryService = canary.string("canaryService");
  tellTraffic(canary.object("trafficRouting"), notes);
  const always = pool.use(canary.object("analysis"), notes);
  if (canaryService !== undefined)
    notes.note(
      at(canary, "canaryService"),
      `became target.deployment.previewService: the engine creates it, so delete ${canaryService} after the Rollout`,
    );
  notes.dropped(canary, {
    canaryMetadata: "the canary's pods have a label of their own",
    stableMetadata: "stable pods are identified by their pod-template-hash",
    maxSurge: "set it in the Deployment's strategy",
    maxUnavailable: "set it in the Deployment's strategy",
    antiAffinity: "set it in the pod template",
    abortScaleDownDelaySeconds: "the canary is removed when it gets no more requests",
    scaleDownDelayRevisionLimit: "one old version is kept",
    minPodsPerReplicaSet: "there is at least one pod of each",
    pingPong: "the engine creates and removes the canary's copy",
  });
  return {
    target: definedFields({ service, previewService: canaryService }),
    steps: [...canary.list("steps").flatMap((step) => stepOf(step, pool, notes)), { weight: 100 }],
    ...checksField(always),
    ...definedFields({
      scaleDownDelaySeconds: canary.integer("scaleDownDelaySeconds"),
      dynamicStableScale: canary.boolean("dynamicStableScale"),
    }),
  };
}

function checksField(checks: readonly { readonly ref: string }[]): Tree {
  return checks.length === 0 ? {} : { checks };
}

function tellTraffic(traffic: Reader | undefined, notes: Notes): void {
  if (traffic === undefined) return;
  const istio = traffic.object("istio");
  for (const field of ["virtualService", "virtualServices", "destinationRule"]) {
    if (istio?.has(field) === true)
      notes.note(
        at(istio, field),
        "is not carried over: the engine creates the routes and subsets of the Service itself; delete yours, or use target.virtualService for a route of your own",
      );
  }
  notes.rest(istio);
  notes.dropped(traffic, {
    managedRoutes: "a step's match and mirror create and remove their own routes",
    maxTrafficWeight: "weights are percentages",
  });
  for (const other of ["nginx", "alb", "appMesh", "smi", "apisix", "traefik", "ambassador", "plugins"]) {
    if (traffic.has(other)) notes.note(at(traffic, other), "is not carried over: the mesh splits the traffic");
  }
  notes.rest(traffic);
}

function stepOf(step: Reader, pool: CheckPool, notes: Notes): Tree[] {
  const weight = step.integer("setWeight");
  const pause = step.object("pause");
  const scale = step.object("setCanaryScale");
  const header = step.object("setHeaderRoute");
  const mirror = step.object("setMirrorRoute");
  const made: Tree[] = [];
  if (weight !== undefined) made.push({ weight });
  if (pause !== undefined) made.push({ pause: pauseOf(pause, notes) });
  if (scale !== undefined) made.push({ scale: scaleOf(scale, notes) });
  if (header !== undefined) made.push(...headerOf(header, notes));
  if (mirror !== undefined) made.push(...mirrorOf(mirror, notes));
  const experiment = step.object("experiment");
  if (experiment !== undefined) made.push(...experimentOf(experiment, pool, notes));
  const checks = pool.use(step.object("analysis"), notes);
  if (checks.length > 0) made.push({ checks });
  notes.rest(step);
  return made;
}

function pauseOf(pause: Reader, notes: Notes): Tree {
  const duration = valueAt(pause.raw, "duration");
  pause.ignore("duration");
  const seconds = durationSeconds(duration);
  notes.rest(pause);
  return seconds === undefined ? { untilApproved: true } : { durationSeconds: seconds };
}

function scaleOf(scale: Reader, notes: Notes): Tree {
  const made = definedFields({
    replicas: scale.integer("replicas"),
    percent: scale.integer("weight"),
    matchWeight: scale.boolean("matchTrafficWeight"),
  });
  notes.rest(scale);
  return made;
}

function headerOf(header: Reader, notes: Notes): Tree[] {
  const name = header.string("name") ?? "";
  const headers = header.list("match").flatMap((match) => {
    const value = match.object("headerValue");
    const [type, text] = (["exact", "prefix", "regex"] as const)
      .map((field) => [field, value?.string(field)] as const)
      .find(([, matcher]) => matcher !== undefined) ?? ["exact", ""];
    const made = {
      name: match.string("headerName") ?? "",
      type: `${type.charAt(0).toUpperCase()}${type.slice(1)}`,
      value: text,
    };
    notes.rest(match);
    return [made];
  });
  notes.rest(header);
  if (headers.length > 0) return [{ name, match: { headers } }];
  notes.note(
    header.path,
    `is not carried over: it removes the route ${name} again; in Serin, a match lasts until the rollout ends`,
  );
  return [];
}

function mirrorOf(mirror: Reader, notes: Notes): Tree[] {
  const percent = mirror.integer("percentage");
  mirror.ignore("name");
  notes.dropped(mirror, { match: "the percentage applies to all requests of the route" });
  notes.rest(mirror);
  if (percent !== undefined && percent > 0) return [{ mirror: { percent } }];
  notes.note(mirror.path, "is not carried over: in Serin, a mirror ends with the next step that does not mirror");
  return [];
}

function experimentOf(experiment: Reader, pool: CheckPool, notes: Notes): Tree[] {
  const seconds = durationSeconds(valueAt(experiment.raw, "duration"));
  experiment.ignore("duration");
  const templates = experiment.list("templates");
  const replicas = Math.max(1, ...templates.map((template) => template.integer("replicas") ?? 1));
  for (const template of templates) {
    template.ignore("name", "specRef");
    notes.dropped(template, {
      weight: "in Serin, an experiment gets mirrored traffic (mirrorPercent) or none",
      service: "the engine creates what it needs",
      selector: "a label of the engine identifies the pods of the copies",
      metadata: "a label of the engine identifies the pods of the copies",
    });
    notes.rest(template);
  }
  const checks = experiment.list("analyses").flatMap((analysis) => {
    const wrapped = new Reader(
      {
        templates: [
          { templateName: analysis.string("templateName"), clusterScope: analysis.boolean("clusterScope") ?? false },
        ],
        args: valueAt(analysis.raw, "args") ?? [],
      },
      analysis.path,
    );
    analysis.ignore("name", "args");
    notes.dropped(analysis, { requiredForCompletion: "all checks of a step are required" });
    notes.rest(analysis);
    return pool.use(wrapped, notes);
  });
  notes.rest(experiment);
  if (seconds === undefined)
    notes.note(at(experiment, "duration"), "was absent, and is an hour now: in Serin, an experiment always ends");
  return [{ experiment: { durationSeconds: seconds ?? 3600, replicas }, ...checksField(checks) }];
}

function blueGreenSpec(blueGreen: Reader, service: string, pool: CheckPool, notes: Notes): Tree {
  blueGreen.ignore("activeService");
  const preview = blueGreen.string("previewService") ?? `${service}-preview`;
  const automatic = blueGreen.boolean("autoPromotionEnabled") ?? true;
  const seconds = blueGreen.integer("autoPromotionSeconds");
  const replicas = blueGreen.integer("previewReplicaCount");
  const before = pool.use(blueGreen.object("prePromotionAnalysis"), notes);
  const after = pool.use(blueGreen.object("postPromotionAnalysis"), notes);
  notes.dropped(blueGreen, {
    antiAffinity: "set it in the pod template",
    abortScaleDownDelaySeconds: "the preview is removed when the step is undone",
    scaleDownDelayRevisionLimit: "one old version is kept",
    previewMetadata: "the preview's pods have a label of their own",
    activeMetadata: "stable pods are identified by their pod-template-hash",
    maxUnavailable: "set it in the Deployment's strategy",
  });
  const pause =
    automatic && seconds === undefined
      ? {}
      : {
          pause: automatic
            ? { durationSeconds: seconds }
            : { untilApproved: true, ...(seconds === undefined ? {} : { durationSeconds: seconds }) },
        };
  return {
    target: { service, previewService: preview },
    steps: [
      { preview: true, ...(replicas === undefined ? {} : { scale: { replicas } }), ...checksField(before), ...pause },
      { weight: 100, ...checksField(after) },
    ],
    ...definedFields({ scaleDownDelaySeconds: blueGreen.integer("scaleDownDelaySeconds") ?? 30 }),
  };
}

// Where the lab's API server answers something else than Kubernetes' own, and why that is meant.
import type { Difference } from "./normal-form.ts";

export interface Explanation {
  readonly why: string;
  /** Of which requests; all when absent. */
  readonly title?: RegExp;
  readonly path?: RegExp;
  readonly when?: (difference: Difference) => boolean;
}

const isAbsentOrNull = (value: unknown): boolean => value === undefined || value === null;

export const explanations: readonly Explanation[] = [
  {
    why: "items of lists carry their kind and version: their bytes are those of single answers",
    path: /^body\.items\[\d+\]\.(kind|apiVersion)$/,
    when: ({ kubernetes }) => kubernetes === undefined,
  },
  {
    why: "what Go writes as null is absent, or an empty list",
    when: ({ kubernetes, serin }) =>
      kubernetes === null && (isAbsentOrNull(serin) || (Array.isArray(serin) && serin.length === 0)),
  },
  {
    why: "what Go writes as null is absent, or an empty list",
    path: /managedFields.*\.f:last(ProbeTime|TransitionTime|UpdateTime)$/,
  },
  {
    why: "an empty continue of lists of custom kinds is absent",
    path: /^body\.metadata\.continue$/,
    when: ({ kubernetes, serin }) => kubernetes === "" && serin === undefined,
  },
  { why: "columns of tables are described in fewer words", path: /columnDefinitions\[\d+\]\.description$/ },
  { why: "YAML is written in the order of JSON, indented otherwise", title: /in YAML$/, path: /^body$/ },
  {
    why: "ports of nodes are chosen by each server",
    path: /cells\[\d+\]$/,
    when: ({ kubernetes, serin }) =>
      typeof kubernetes === "string" &&
      typeof serin === "string" &&
      /^\d+:\d+\//.test(kubernetes) &&
      /^\d+:\d+\//.test(serin),
  },
  { why: "no port for health checks of load balancers: the lab has none that look", path: /healthCheckNodePort/ },
  {
    why: "volumes and claims are not protected: no controller of the lab would let them go",
    path: /metadata\.finalizers$/,
    when: ({ kubernetes }) =>
      Array.isArray(kubernetes) && kubernetes.some((name) => String(name).endsWith("-protection")),
  },
  { why: "the time of a volume's phase is not kept", path: /lastPhaseTransitionTime$/ },
  {
    why: "rows of tables show a DaemonSet's annotation as its single answer does",
    title: /^a table of daemonsets$/,
    path: /metadata\.annotations$/,
  },
  { why: "a new node has no taint: the lab's register when they are ready", path: /spec\.taints$/ },
  {
    why: "a definition serves as soon as it is stored, and keeps its finalizer from the start",
    title: /^(a|the) definition/,
    path: /^body\.(status|metadata\.(finalizers|generation|managedFields|resourceVersion)|rows)/,
  },
  { why: "answers are given as JSON or YAML, not as protobuf", title: /in a form that nobody has$/, path: /message$/ },
  { why: "a version that is no number is a bad request", title: /version (that is no number|at all)$/ },
  {
    why: "a watch from a version of the future is told so at once: the lab may have been made anew",
    title: /^a watch of the future$/,
  },
  { why: "bookmarks as tables have no name in their row", title: /as tables$/, path: /rows\[0\]\.cells\[0\]$/ },
  {
    why: "messages of Go's own libraries and types are said in words",
    title:
      /^(another (kind|version)|an unknown kind|no JSON|no object|nothing|a number as text|a text as number|a list as object|a bad quantity|a secret that is no base64|a replacement of another uid|a deletion with a body of another kind|a page by a token that is none|apply: no YAML|merge patch: no JSON|as a reader who imitates another|a change of a pod's command)$/,
    path: /^body\.(message|details)/,
  },
  {
    why: "a JSON patch that does not apply says which operation, and why",
    title: /^JSON patch: /,
    path: /^body\.(message|details)/,
  },
  {
    why: "a JSON patch that does not apply says which operation, and why",
    title: /^kubectl patch .* --type=json /,
    path: /^stderr/,
  },
  {
    why: "a patch whose result cannot be read is refused by what is wrong with it, without the whole object",
    title: /^kubectl patch .*"replicas":"x"/,
    path: /^stderr/,
  },
  {
    why: "a patch whose result cannot be read is refused by what is wrong with it, without the whole object",
    title: /^(JSON|strategic) patch: (a wrong type|an unknown field, refused)$/,
    path: /^body\.(message|details)/,
  },
  { why: "a patch to another kind is a bad request", title: /^merge patch: another kind$/ },
  {
    why: "a strategic patch that cannot be read is a bad request",
    title: /^strategic patch: an (item without its key|unknown directive)$/,
  },
  { why: "an entry of managedFields always has its time", path: /managedFields\[\d+\]\.time$/ },
  { why: "an error is listed once", title: /^a further finalizer while it waits$/, path: /details\.causes$/ },
  {
    why: "a field that is too long is also held against its pattern",
    title: /^custom: out of bounds$/,
    path: /^body\.(message|details)/,
  },
  { why: "an error of a choice names the field", title: /^custom: one of two$/, path: /^body\.(message|details)/ },
  {
    why: "a definition's versions are named, not printed",
    title: /^a definition of (two stored|no) versions$/,
    path: /^body\.(message|details)/,
  },
  {
    why: "rules are compiled without types: a field that is not there shows when an object comes",
    title: /^a definition of a bad rule$/,
  },
  {
    why: "what a rule costs is not estimated: the lab bounds no more than the time of a request",
    title: /^a definition of too dear a rule$/,
  },
  {
    why: "a bad pattern is refused without the words of Go's parser",
    title: /^a definition of a bad pattern$/,
    path: /^body\.(message|details)/,
  },
  { why: "a kind that is gone is said so as of its group, which others may still have", title: /^its kind is gone$/ },
  { why: "the server says what it is", title: /^the version as nobody in particular$/ },
  {
    why: "reviews have no managedFields, tokens no uid",
    title: /(review|token|rules)/,
    path: /^body\.metadata\.(managedFields|uid)$/,
  },
  {
    why: "rules are listed in the order of roles, and for the namespace that was asked for",
    title: /^a reader's rules$/,
  },
  {
    why: "a review that cannot be answered names its kind",
    title: /^a review of (nobody|nothing)$/,
    path: /^body\.(message|details)/,
  },
  {
    why: "a token for others is invalid, without naming them",
    title: /^a token's review for another$/,
    path: /^body\.status\.error$/,
  },
  { why: "the address is the server's own", path: /serverAddress$/ },
  {
    why: "kinds that the lab has no use for are not served",
    title: /^(the core group's kinds|the kinds of certificates\.k8s\.io\/v1)$/,
  },
  {
    why: "the original hashes the version in which it stores, which is an older one here",
    path: /storageVersionHash$/,
    title: /(apiextensions|admissionregistration)/,
  },
];

/** The first explanation that fits; undefined where the difference is a mistake. */
export function explain(title: string, difference: Difference): Explanation | undefined {
  return explanations.find(
    (each) =>
      (each.title?.test(title) ?? true) &&
      (each.path?.test(difference.path) ?? true) &&
      (each.when?.(difference) ?? true),
  );
}

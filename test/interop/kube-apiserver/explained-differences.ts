// Where the lab's API server answers differently from Kubernetes' own on purpose, with the reasons.
import type { Difference } from "./normal-form.ts";

export interface Explanation {
  readonly why: string;
  /** Matches titles of requests. Absent means all. */
  readonly title?: RegExp;
  readonly path?: RegExp;
  readonly when?: (difference: Difference) => boolean;
}

const isAbsentOrNull = (value: unknown): boolean => value === undefined || value === null;

export const explanations: readonly Explanation[] = [
  {
    why: "items of lists contain their kind and version, because they have the same bytes as single answers",
    path: /^body\.items\[\d+\]\.(kind|apiVersion)$/,
    when: ({ kubernetes }) => kubernetes === undefined,
  },
  {
    why: "fields that Go writes as null are absent, or empty lists",
    when: ({ kubernetes, serin }) =>
      kubernetes === null && (isAbsentOrNull(serin) || (Array.isArray(serin) && serin.length === 0)),
  },
  {
    why: "fields that Go writes as null are absent, or empty lists",
    path: /managedFields.*\.f:last(ProbeTime|TransitionTime|UpdateTime)$/,
  },
  {
    why: "lists of custom kinds omit an empty continue",
    path: /^body\.metadata\.continue$/,
    when: ({ kubernetes, serin }) => kubernetes === "" && serin === undefined,
  },
  { why: "the columns of tables have shorter descriptions", path: /columnDefinitions\[\d+\]\.description$/ },
  { why: "YAML has JSON's order of fields and another indentation", title: /in YAML$/, path: /^body$/ },
  {
    why: "each server chooses its own node ports",
    path: /cells\[\d+\]$/,
    when: ({ kubernetes, serin }) =>
      typeof kubernetes === "string" &&
      typeof serin === "string" &&
      /^\d+:\d+\//.test(kubernetes) &&
      /^\d+:\d+\//.test(serin),
  },
  {
    why: "Services have no port for health checks of load balancers, because the lab does not check them",
    path: /healthCheckNodePort/,
  },
  {
    why: "the lab's API server counts what a ResourceQuota uses, and Kubernetes' controller for it does not run here",
    title: /^a table of resourcequotas$/,
    path: /(cells\[1\]|metadata\.managedFields)$/,
  },
  { why: "the time of a volume's phase is not stored", path: /lastPhaseTransitionTime$/ },
  {
    why: "rows of tables show a DaemonSet's annotation in the same way as its single answer",
    title: /^a table of daemonsets$/,
    path: /metadata\.annotations$/,
  },
  { why: "a new node has no taint, because the lab's nodes register when they are ready", path: /spec\.taints$/ },
  {
    why: "a definition serves as soon as it is stored, and has its finalizer from the start",
    title: /^(a|the) definition/,
    path: /^body\.(status|metadata\.(finalizers|generation|managedFields|resourceVersion)|rows)/,
  },
  { why: "answers are JSON or YAML, not protobuf", title: /in a form that nobody has$/, path: /message$/ },
  {
    why: "a request that names a version that is not a number gets 400 (bad request)",
    title: /version (that is no number|at all)$/,
  },
  {
    why: "a watch from a future version fails at once, because the lab may have been created again",
    title: /^a watch of the future$/,
  },
  { why: "bookmarks as tables have no name in their row", title: /as tables$/, path: /rows\[0\]\.cells\[0\]$/ },
  {
    why: "errors are in words instead of messages of Go's libraries and types",
    title:
      /^(another (kind|version)|an unknown kind|no JSON|no object|nothing|a number as text|a text as number|a list as object|a bad quantity|a secret that is no base64|a replacement of another uid|a deletion with a body of another kind|a page by a token that is none|apply: no YAML|merge patch: no JSON|as a reader who imitates another|a change of a pod's command)$/,
    path: /^body\.(message|details)/,
  },
  {
    why: "the error of a JSON patch names the operation and the reason",
    title: /^JSON patch: /,
    path: /^body\.(message|details)/,
  },
  {
    why: "the error of a JSON patch names the operation and the reason",
    title: /^kubectl patch .* --type=json /,
    path: /^stderr/,
  },
  {
    why: "the error of a patch with an invalid result names the fault and does not contain the whole object",
    title: /^kubectl patch .*"replicas":"x"/,
    path: /^stderr/,
  },
  {
    why: "the error of a patch with an invalid result names the fault and does not contain the whole object",
    title: /^(JSON|strategic) patch: (a wrong type|an unknown field, refused)$/,
    path: /^body\.(message|details)/,
  },
  { why: "a patch that changes the kind of an object gets 400", title: /^merge patch: another kind$/ },
  {
    why: "an unreadable strategic patch gets 400",
    title: /^strategic patch: an (item without its key|unknown directive)$/,
  },
  { why: "an entry of managedFields always has its time", path: /managedFields\[\d+\]\.time$/ },
  { why: "an error occurs once in its list", title: /^a further finalizer while it waits$/, path: /details\.causes$/ },
  {
    why: "a field that is too long is also checked against its pattern",
    title: /^custom: out of bounds$/,
    path: /^body\.(message|details)/,
  },
  { why: "the error of a union names the field", title: /^custom: one of two$/, path: /^body\.(message|details)/ },
  {
    why: "an error names a definition's versions and does not print them",
    title: /^a definition of (two stored|no) versions$/,
    path: /^body\.(message|details)/,
  },
  {
    why: "rules are compiled without types, so a missing field fails only with an object",
    title: /^a definition of a bad rule$/,
  },
  {
    why: "the cost of a rule is not estimated, because the lab limits only the cost of evaluations",
    title: /^a definition of too dear a rule$/,
  },
  {
    why: "the error of an invalid pattern lacks the text of Go's parser",
    title: /^a definition of a bad pattern$/,
    path: /^body\.(message|details)/,
  },
  {
    why: "a 404 for a removed kind names its group, because other kinds of the group may remain",
    title: /^its kind is gone$/,
  },
  { why: "each server reports its own name and version", title: /^the version as nobody in particular$/ },
  {
    why: "reviews have no managedFields, and tokens have no uid",
    title: /(review|token|rules)/,
    path: /^body\.metadata\.(managedFields|uid)$/,
  },
  {
    why: "rules are in the order of roles, and only for the requested namespace",
    title: /^a reader's rules$/,
  },
  {
    why: "the error of an unanswerable review names its kind",
    title: /^a review of (nobody|nothing)$/,
    path: /^body\.(message|details)/,
  },
  {
    why: "a token for other audiences is invalid, and the answer does not name them",
    title: /^a token's review for another$/,
    path: /^body\.status\.error$/,
  },
  { why: "each server has its own address", path: /serverAddress$/ },
  {
    why: "the lab does not serve kinds that have no use in it",
    title: /^(the core group's kinds|the kinds of certificates\.k8s\.io\/v1)$/,
  },
  {
    why: "the original hashes the stored version, which is an older one here",
    path: /storageVersionHash$/,
    title: /(apiextensions|admissionregistration)/,
  },
];

/** The first explanation that fits. Undefined if the difference is a fault. */
export function explain(title: string, difference: Difference): Explanation | undefined {
  return explanations.find(
    (each) =>
      (each.title?.test(title) ?? true) &&
      (each.path?.test(difference.path) ?? true) &&
      (each.when?.(difference) ?? true),
  );
}

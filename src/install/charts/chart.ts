import { stringify } from "yaml";
import { writtenForKubernetes } from "../../base/kubernetes-yaml/index.ts";
import { platformNames } from "../platform.ts";
import { operatorPathOf, unreadValues, type UpstreamChart } from "../upstream-values.ts";
import type { ValuesSchema } from "./values-schema.ts";

/** A Helm chart. `files` maps each path inside the chart's folder to its text. */
export interface Chart {
  readonly name: string;
  readonly version: string;
  readonly appVersion: string;
  readonly description: string;
  readonly files: ReadonlyMap<string, string>;
}

export interface ChartParts {
  readonly name: string;
  /** Istio's chart whose values this chart accepts. Values without effect get a warning. */
  readonly upstream?: UpstreamChart;
  readonly version: string;
  readonly appVersion: string;
  readonly description: string;
  readonly values: Readonly<Record<string, unknown>>;
  /** The templates by name. A name without an extension gets `.yaml`. */
  readonly templates: Readonly<Record<string, string>>;
  readonly notes: string;
  readonly files?: Readonly<Record<string, string>>;
  readonly schema: ValuesSchema;
}

export function assembleChart(parts: ChartParts): Chart {
  const { name, version, appVersion, description } = parts;
  const metadata = {
    apiVersion: "v2",
    name,
    version,
    appVersion,
    description,
    type: "application",
    keywords: ["istio", "serin"],
    home: "https://istio.io",
  };
  const files = new Map([
    ["Chart.yaml", stringify(metadata)],
    ["values.yaml", stringify(parts.values, writtenForKubernetes)],
    ["values.schema.json", `${JSON.stringify(parts.schema, null, 2)}\n`],
    ["templates/NOTES.txt", `${parts.notes}${unreadNotes(parts)}`],
    ...Object.entries(parts.templates).map(
      ([file, text]) => [`templates/${file.includes(".") ? file : `${file}.yaml`}`, `${text}\n`] as const,
    ),
    ...Object.entries(parts.files ?? {}),
  ]);
  return { name, version, appVersion, description, files };
}

/**
 * The key of a chart's defaults, as in Istio's charts. Under a separate key, a profile can override the defaults, and
 * the user's values can override the profile.
 */
export const defaultsKey = "_internal_defaults_do_not_set";

/**
 * The first line of every template. It sets `$v` to the merged values. They are passed as JSON, because Helm parses
 * JSON several times as fast as YAML.
 */
export const valuesHeader = '{{- $v := include "serin.values" . | fromJson }}';

export interface ValuesOptions {
  /** Whether a global value is also the default of the top-level value with the same name. */
  readonly flattensGlobals?: boolean;
  /** Whether the chart has a file of values for each `compatibilityVersion`. */
  readonly hasVersions?: boolean;
}

const chosenPlatform = "(coalesce $user.platform ($user.global).platform)";

/**
 * The named template that merges the defaults, the files of profile and platform, and the user's values. `older` lists
 * keys below which users may also put top-level values.
 */
export function valuesHelper(
  older: readonly string[],
  { flattensGlobals = false, hasVersions = false }: ValuesOptions = {},
): string {
  const merge = (from: string): string[] => [
    ...(flattensGlobals
      ? [`{{- with ${from}.global }}{{- $_ := mergeOverwrite $values (deepCopy .) }}{{- end }}`]
      : []),
    ...older.map((key) => `{{- with ${from}.${key} }}{{- $_ := mergeOverwrite $values (deepCopy .) }}{{- end }}`),
    `{{- $_ := mergeOverwrite $values (omit ${from} ${[defaultsKey, ...older].map((key) => `"${key}"`).join(" ")}) }}`,
  ];
  return [
    '{{- define "serin.values" -}}',
    `{{- $values := deepCopy .Values.${defaultsKey} }}`,
    "{{- $user := deepCopy .Values }}",
    "{{- with (coalesce $user.profile ($user.global).profile) }}",
    '{{- $file := $.Files.Get (printf "files/profile-%s.yaml" .) }}',
    '{{- if not $file }}{{ fail (printf "there is no profile %q" .) }}{{ end }}',
    "{{- $profile := fromYaml $file }}",
    ...merge("$profile"),
    "{{- end }}",
    `{{- with ${chosenPlatform} }}`,
    '{{- $file := $.Files.Get (printf "files/platform-%s.yaml" .) }}',
    `{{- if not $file }}{{ fail (printf "there is no platform %q; known: ${platformNames.join(", ")}. Others, for example EKS, AKS, kind and kubeadm, need no value here" .) }}{{ end }}`,
    "{{- $platform := fromYaml $file }}",
    ...merge("$platform"),
    "{{- end }}",
    ...(hasVersions
      ? [
          "{{- with $user.compatibilityVersion }}",
          '{{- $file := $.Files.Get (printf "files/compatibility-version-%s.yaml" (toString .)) }}',
          '{{- if not $file }}{{ fail (printf "there is no compatibility version %q" (toString .)) }}{{ end }}',
          "{{- $version := fromYaml $file }}",
          ...merge("$version"),
          "{{- end }}",
        ]
      : []),
    ...merge("$user"),
    `{{- with ${chosenPlatform} }}`,
    '{{- $_ := mergeOverwrite $values (dict "global" (dict "platform" .)) }}',
    "{{- end }}",
    "{{- toJson $values }}",
    "{{- end }}",
    ...resourcesHelper,
  ].join("\n");
}

/**
 * The named template of a container's resources. It omits null amounts, because the API server would read them as 0.
 */
const resourcesHelper = [
  '{{- define "serin.resources" -}}',
  "{{- range $kind, $amounts := . }}",
  "{{- if $amounts }}",
  '{{- if eq $kind "claims" }}',
  "{{ toYaml (dict $kind $amounts) }}",
  "{{- else }}",
  "{{ $kind }}:",
  "{{- range $name, $amount := $amounts }}",
  '{{- if ne (toJson $amount) "null" }}',
  "  {{ $name }}: {{ $amount | quote }}",
  "{{- end }}",
  "{{- end }}",
  "{{- end }}",
  "{{- end }}",
  "{{- end }}",
  "{{- end }}",
];

/** The expression of an object. It contains no two braces in a row, because these would end the expression. */
export function dict(fields: Readonly<Record<string, unknown>>): string {
  return `(${JSON.stringify(JSON.stringify(fields).replaceAll(/\}(?=\})/g, "} "))} | fromJson)`;
}

/** The expression of a container's resources. `at` is the expression of the values. */
export function resourcesAt(at: string): string {
  return `include "serin.resources" (${at} | default dict) | fromYaml`;
}

/** The part of the notes that warns about values of Istio's chart that have no effect in this chart. */
function unreadNotes({ upstream, templates }: ChartParts): string {
  if (upstream === undefined) return "";
  const paths = unreadValues(upstream, Object.values(templates).join("\n"));
  // Values of istiod may also be below the older key `pilot`.
  const places = paths.flatMap((path) => [...new Set([path, operatorPathOf(upstream, path)])]);
  return [
    "{{- $given := deepCopy .Values }}",
    `{{- range $path := list ${places.map((path) => JSON.stringify(path)).join(" ")} }}`,
    "{{- $found := true }}{{- $at := $given }}",
    '{{- range $key := splitList "." $path }}',
    '{{- if not (kindIs "map" $at) }}{{- $found = false }}',
    "{{- else if not (hasKey $at $key) }}{{- $found = false }}",
    "{{- else }}{{- $at = index $at $key }}{{- end }}",
    "{{- end }}",
    "{{- if $found }}",
    "WARNING: this chart does not act on the value {{ $path }}.",
    "{{- end }}",
    "{{- end }}",
    "",
  ].join("\n");
}

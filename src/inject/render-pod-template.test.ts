import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { SerinError } from "../base/index.ts";
import { renderPodTemplate } from "./render-pod-template.ts";

const data = {
  ObjectMeta: { name: "web", labels: { app: "web" }, annotations: { "a.b/c": "12", list: '{"x":1,"y":[true]}' } },
  Spec: { containers: [{ name: "one", ports: [{ containerPort: 80 }] }, { name: "two" }], serviceAccountName: "sa" },
  TypeMeta: { apiVersion: "apps/v1" },
  Values: { global: { proxy: { image: "proxyv2", empty: "" } }, on: true, resources: { limits: { cpu: "1" } } },
  NativeSidecars: false,
  ProxyUID: 1337,
};

const cases: readonly (readonly [template: string, result: string])[] = [
  ["plain {{/* said */}}text", "plain text"],
  [
    "{{ .ObjectMeta.Name }} {{ .ObjectMeta.name }} {{ .Spec.ServiceAccountName }} {{ .TypeMeta.APIVersion }}",
    "web web sa apps/v1",
  ],
  ["a {{- .ObjectMeta.Name -}}  b", "awebb"],
  ["{{ index .ObjectMeta.Annotations `a.b/c` | quote }}", '"12"'],
  ['{{ index .ObjectMeta.Annotations "none" | default "other" }}', "other"],
  [
    "{{ annotation .ObjectMeta `a.b/c` 5 }} {{ annotation .ObjectMeta `none` .Values.global.proxy.image }}",
    "12 proxyv2",
  ],
  ["{{ if isset .ObjectMeta.Annotations `none` }}a{{ else if .Values.on }}b{{ else }}c{{ end }}", "b"],
  ["{{ if and .Values.on (not .NativeSidecars) }}yes{{ end }}", "yes"],
  ["{{ if or (eq .ProxyUID 1) (ne .ObjectMeta.Name `web`) }}yes{{ else }}no{{ end }}", "no"],
  [
    "{{ with .Values.global.proxy.empty }}x{{ else }}none{{ end }}{{ with .ObjectMeta }}{{ .Name }}{{ end }}",
    "noneweb",
  ],
  ["{{ range $i, $c := .Spec.Containers }}{{ if $i }},{{ end }}{{ $c.Name }}{{ end }}", "one,two"],
  ["{{ range .Spec.Containers }}{{ .Name }} {{ $.ObjectMeta.Name }};{{ else }}none{{ end }}", "one web;two web;"],
  ["{{ range $k, $v := .ObjectMeta.Labels }}{{ $k }}={{ $v }}{{ end }}", "app=web"],
  ["{{ range .Nothing }}x{{ else }}none{{ end }}", "none"],
  [
    "{{ $names := list }}{{ range .Spec.Containers }}{{ $names = append $names .Name }}{{ end }}{{ $names | join `+` }}",
    "one+two",
  ],
  ['{{ define "r" }}[{{ .ObjectMeta.Name }}]{{ end }}{{ template "r" . }}', "[web]"],
  ['{{ printf "--level=%s %d %v %q%%" "x" 3 true "y" }}', '--level=x 3 true "y"%'],
  ["{{ (index .Spec.Containers 0).Name }}", "one"],
  ["r:{{ toYaml .Values.resources | nindent 2 }}", 'r:\n  limits:\n    cpu: "1"'],
  ["{{ (fromJSON (index .ObjectMeta.Annotations `list`)).x }}", "1"],
  ["{{ trunc 2 .ObjectMeta.Name | upper }}{{ contains `/` `a/b` }}{{ valueOrDefault .Values.none `d` }}", "WEtrued"],
  ["{{ if and .Values.none .Values.on }}yes{{ else }}no{{ end }}", "no"],
  [
    "{{ eq (index .ObjectMeta.Labels `none`) `` }} {{ ne .Spec.NodeName `` }} {{ eq .Spec.HostNetwork false }} {{ eq .Values.none .ObjectMeta.Name }}",
    "true false true false",
  ],
  [
    "[{{ index .ObjectMeta.Labels `none` }}] {{ index .Values `none` }} {{ isset .ObjectMeta.Labels `none` }}",
    "[] <no value> false",
  ],
  ["{{ .Values.none.deeper }}", "<no value>"],
];

test("templates give the same result as Go", () => {
  for (const [template, result] of cases) assert.equal(renderPodTemplate(template, data), result, template);
});

test("malformed and unsupported templates are user errors with the reason", () => {
  const faults: readonly (readonly [string, RegExp])[] = [
    ["{{ if .A }}x", /"if \.A" has no end/],
    ["{{ end }}", /"end" without a beginning/],
    ["{{ .A", /is not closed/],
    ["{{ env `HOME` }}", /calls "env", which is not supported here/],
    ["{{ $x }}", /no variable \$x/],
    ["{{ template `none` . }}", /no template "none"/],
    ["{{ define `a` }}{{ template `a` . }}{{ end }}{{ template `a` . }}", /calls itself without end/],
    ["{{ ( .A }}", /not closed/],
    ["{{ .A | }}", /empty command/],
    ["{{ 1 2 }}", /not a function/],
    ["{{ constructor }}", /not supported/],
    ["{{ fail `no` }}", /^SerinError: no$/],
    ["{{ fromJSON `{x` }}", /fromJSON cannot parse its argument/],
    ["{{ fromYaml `[x` }}", /fromYaml cannot parse its argument/],
  ];
  for (const [template, expected] of faults)
    assert.throws(
      () => renderPodTemplate(template, data),
      (error) => error instanceof SerinError && expected.test(String(error)),
      template,
    );
});

test("the renderer throws no other error, whatever the text is", () => {
  const piece = fc.constantFrom(
    "{{",
    "}}",
    "{{-",
    "-}}",
    " if ",
    " range ",
    " end ",
    " else ",
    " with ",
    ".A",
    ".Spec.Containers",
    "$x",
    ":=",
    "|",
    "(",
    ")",
    "`a`",
    '"b"',
    " index ",
    " join ",
    " 1 ",
    " toYaml ",
    "define",
    "\n",
    "text",
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
      try {
        renderPodTemplate(pieces.join(""), data);
      } catch (error) {
        assert.ok(error instanceof SerinError && error.kind === "user", String(error));
      }
    }),
    { numRuns: 1000 },
  );
});

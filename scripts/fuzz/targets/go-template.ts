import { SerinError } from "../../../src/base/index.ts";
import { renderPodTemplate } from "../../../src/inject/render-pod-template.ts";
import { expect, expectRefusal, type FuzzTarget } from "../target.ts";

const data = { Name: "a", Labels: { x: "y", "a/b": "c" }, List: [1, "two", { k: null }], Flag: true, Number: 5 };
const maxCharacters = 1 << 20;

export const target: FuzzTarget = {
  title: "Go templates of injection",
  seeds: [
    '{{ if and .Flag (eq .Name "a") }}yes{{ else if not .Flag }}no{{ else }}{{ .Number }}{{ end }}',
    "{{- range $i, $e := .List }}{{ $i }}={{ $e | toJson }},{{ else }}none{{ end -}}",
    '{{ define "t" }}<{{ . }}>{{ end }}{{ template "t" .Name }}{{ with .Labels }}{{ index . "a/b" | quote }}{{ end }}',
    '{{ $x := 1 }}{{ $x = printf "%d-%s-%v-%q" 5 `raw` .Labels .Name }}{{ $x | indent 2 | nindent 4 }}{{/* comment */}}',
    '{{ (index .List 2).k | default "d" }}{{ len .List }}{{ toYaml .Labels }}{{ valueOrDefault .Missing "x" }}',
    '{{ fromJSON `{"a":1}` }}{{ structToJSON .Labels }}{{ env "A" "b" }}{{ trim " x " }}{{ 1.5e3 }}{{ true }}{{ nil }}',
  ],
  words: [
    "{{",
    "}}",
    "{{- ",
    " -}}",
    "{{ end }}",
    "{{ range .List }}",
    '{{ template "t" . }}',
    '{{ define "t" }}',
    "{{ $x := list 1 }}",
    "{{ $x = list $x $x }}",
    "{{ $x = print $x $x }}",
    "replace",
    "splitList",
    "$",
    ":=",
    "|",
    "__proto__",
    "constructor",
  ],
  maxBytes: 600,
  run: (input) => {
    try {
      const text = renderPodTemplate(input.toString("utf8"), data);
      expect(text.length <= maxCharacters, "a result is bounded");
    } catch (error) {
      expectRefusal(error, SerinError);
      if ((error as SerinError).kind !== "user") throw error;
    }
  },
};

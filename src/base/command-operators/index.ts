// Envoy's command operators: https://www.envoyproxy.io/docs/envoy/latest/configuration/advanced/substitution_formatter
export { celExpressions, formatFault, lengthFault, type FormatPlace } from "./format-fault.ts";
export { operatorForms, operatorNames } from "./operators.ts";

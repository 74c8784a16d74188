export { BanzaiOperator, type BanzaiOperatorOptions } from "./banzai-operator.ts";

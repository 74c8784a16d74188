export { tellOfSecondOperator, type SecondOperatorOptions } from "./second-operator.ts";
export { BanzaiOperator, type BanzaiOperatorOptions } from "./banzai-operator.ts";

// Keeps the objects of Banzai Cloud's kinds installed.
export { tellOfSecondOperator, type SecondOperatorOptions } from "./second-operator.ts";
export { BanzaiOperator, type BanzaiOperatorOptions } from "./banzai-operator.ts";

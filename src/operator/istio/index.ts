// Keeps the installation of each IstioOperator.
export { IstioOperatorController, type IstioOperatorControllerOptions } from "./istio-operator-controller.ts";

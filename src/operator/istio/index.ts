// Keeps the installation of each IstioOperator.
export {
  IstioOperatorController,
  type IstioOperatorControllerOptions,
  type IstioOperatorObject,
  type IstioOperatorStatus,
} from "./istio-operator-controller.ts";

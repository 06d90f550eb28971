// All the code that a deployment has of its own. From npm it would read: from "tokenkeep".
export { default, SessionObject, SubjectObject } from "../build/tokenkeep.js";

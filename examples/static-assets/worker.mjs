// From npm: export { default, SessionObject, SubjectObject } from "tokenkeep";
export { default, SessionObject, SubjectObject } from "../../build/tokenkeep.js";

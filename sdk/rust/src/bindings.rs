//! Bindings of the three worlds, generated from `wit/`. Types that worlds share are generated once.

pub mod selection {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "framegate:plugin/selection-policy",
        generate_all,
        pub_export_macro: true,
        default_bindings_module: "framegate_sdk::bindings::selection",
        export_macro_name: "export_selection",
    });
}

pub mod pricing {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "framegate:plugin/pricing-rule",
        generate_all,
        pub_export_macro: true,
        default_bindings_module: "framegate_sdk::bindings::pricing",
        export_macro_name: "export_pricing",
        with: {
            "framegate:common/types@0.1.0": crate::bindings::selection::framegate::common::types,
            "framegate:policy/scope@0.1.0": crate::bindings::selection::framegate::policy::scope,
            "framegate:policy/job-details@0.1.0":
                crate::bindings::selection::framegate::policy::job_details,
        },
    });
}

pub mod pipeline {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "framegate:plugin/pipeline",
        generate_all,
        pub_export_macro: true,
        default_bindings_module: "framegate_sdk::bindings::pipeline",
        export_macro_name: "export_pipeline",
        with: {
            "framegate:common/types@0.1.0": crate::bindings::selection::framegate::common::types,
        },
    });
}

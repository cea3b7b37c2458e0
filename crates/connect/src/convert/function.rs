//! Functions the client defines and sends along.

use boathouse_spec::{Command, Error, Expr, PythonFunction, PythonUdf, RelationNode, Result};

use super::data_type::data_type_from_proto;
use super::{Converter, not_set};
use crate::proto::spark::{self, common_inline_user_defined_function::Function};

const MESSAGE: &str = "spark.connect.CommonInlineUserDefinedFunction";

impl Converter<'_> {
    pub(super) fn user_function(&mut self, f: spark::CommonInlineUserDefinedFunction) -> Result<Expr> {
        let name = f.function_name.clone();
        let (deterministic, distinct) = (f.deterministic, f.is_distinct);
        let (function, args) = self.inline_function(f)?;
        Ok(Expr::PythonUdf(Box::new(PythonUdf { name, args, deterministic, distinct, function })))
    }

    /// The Python function with its arguments.
    pub(super) fn inline_function(
        &mut self,
        f: spark::CommonInlineUserDefinedFunction,
    ) -> Result<(PythonFunction, Vec<Expr>)> {
        match f.function.ok_or_else(|| not_set(MESSAGE, "FUNCTION_NOT_SET"))? {
            Function::PythonUdf(udf) => Ok((python_function(udf)?, self.expressions(f.arguments)?)),
            Function::ScalarScalaUdf(_) => Err(Error::unsupported("user-defined functions written in Scala")),
            Function::JavaUdf(udf) => Err(no_java(&udf.class_name)),
        }
    }

    pub(super) fn register_function(&mut self, f: spark::CommonInlineUserDefinedFunction) -> Result<Command> {
        let (name, deterministic) = (f.function_name.clone(), f.deterministic);
        let (function, _) = self.inline_function(f)?;
        Ok(Command::RegisterPythonFunction { name, function, deterministic, is_table_function: false })
    }

    pub(super) fn register_table_function(
        &mut self,
        f: spark::CommonInlineUserDefinedTableFunction,
    ) -> Result<Command> {
        let function = table_function(f.function)?;
        Ok(Command::RegisterPythonFunction {
            name: f.function_name,
            function,
            deterministic: f.deterministic,
            is_table_function: true,
        })
    }

    pub(super) fn call_table_function(
        &mut self,
        f: spark::CommonInlineUserDefinedTableFunction,
    ) -> Result<RelationNode> {
        Ok(RelationNode::PythonTableFunction {
            name: f.function_name,
            args: self.expressions(f.arguments)?,
            function: table_function(f.function)?,
            deterministic: f.deterministic,
        })
    }
}

pub(super) fn python_function(udf: spark::PythonUdf) -> Result<PythonFunction> {
    Ok(PythonFunction {
        command: udf.command,
        eval_type: udf.eval_type,
        python_version: udf.python_ver,
        includes: udf.additional_includes,
        return_type: udf.output_type.map(data_type_from_proto).transpose()?,
    })
}

fn table_function(
    function: Option<spark::common_inline_user_defined_table_function::Function>,
) -> Result<PythonFunction> {
    use spark::common_inline_user_defined_table_function::Function;
    let Function::PythonUdtf(udtf) = function
        .ok_or_else(|| not_set("spark.connect.CommonInlineUserDefinedTableFunction", "FUNCTION_NOT_SET"))?;
    Ok(PythonFunction {
        command: udtf.command,
        eval_type: udtf.eval_type,
        python_version: udtf.python_ver,
        includes: Vec::new(),
        return_type: udtf.return_type.map(data_type_from_proto).transpose()?,
    })
}

fn no_java(class: &str) -> Error {
    Error::new("CANNOT_LOAD_FUNCTION_CLASS")
        .param("className", class)
        .param("functionName", "")
        .exception("AnalysisException")
        .message(format!(
            "The Java class {class} cannot be loaded: there is no JVM. Write the function in Python or SQL."
        ))
}
